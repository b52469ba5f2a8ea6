#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "client/cli/tool.h"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  const bool err_is_terminal = isatty(STDERR_FILENO) == 1;
  return tconv::cli::RunTool(std::vector<std::string>(argv + 1, argv + argc),
                             {.in = std::cin,
                              .out = std::cout,
                              .err = std::cerr,
                              .terminal = err_is_terminal ? &std::cerr : nullptr});
}
