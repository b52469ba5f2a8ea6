#include "tests/support/server_process.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace tconv::testing {
namespace {

constexpr std::string_view kListening = "listening on ";

std::vector<std::string> CommandLine(std::vector<std::string> arguments) {
  const bool says_where =
      std::any_of(arguments.begin(), arguments.end(),
                  [](const std::string& argument) { return argument.starts_with("--listen="); });
  if (!says_where) arguments.insert(arguments.begin(), "--listen=127.0.0.1:0");
  arguments.insert(arguments.begin(), TCONV_SERVER_BINARY);
  return arguments;
}

}  // namespace

ServerProcess::ServerProcess(std::vector<std::string> arguments, std::vector<std::string> variables)
    : ChildProcess(CommandLine(std::move(arguments)), std::move(variables)) {
  if (const std::string line = ReadLine(); line.starts_with(kListening)) {
    target_ = line.substr(kListening.size());
  }
}

}  // namespace tconv::testing
