#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "client/cli/tool.h"

namespace {

// By the convention of no-color.org.
bool WantsColors() {
  const char* no_color = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return isatty(STDOUT_FILENO) == 1 && (no_color == nullptr || *no_color == '\0') &&
         terminal != nullptr && std::string(terminal) != "dumb";
}

}  // namespace

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  const bool err_is_terminal = isatty(STDERR_FILENO) == 1;
  return tconv::cli::RunTool(std::vector<std::string>(argv + 1, argv + argc),
                             {.in = std::cin,
                              .out = std::cout,
                              .err = std::cerr,
                              .terminal = err_is_terminal ? &std::cerr : nullptr,
                              .out_has_colors = WantsColors()});
}
