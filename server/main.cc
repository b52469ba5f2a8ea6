// tconv-server: hosts transposed-convolution layers until it is told to stop.
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

#include "server/app/app.h"
#include "server/app/drain.h"
#include "server/app/options.h"
#include "server/app/process.h"

using namespace tconv::server;

int Fail(const Status& status) {
  fmt::print(stderr, "tconv-server: {}\n", std::string(status.message()));
  return status.code() == StatusCode::kInvalidArgument ? 2 : 1;
}

int Serve(const ServerOptions& options) {
  if (const Status ready = SetUpProcess(options); !ready.ok()) return Fail(ready);
  const auto app = App::Start(options);
  if (!app.ok()) return Fail(app.status());
  for (const std::string& address : (*app)->addresses()) fmt::print("listening on {}\n", address);
  for (const std::string& address : (*app)->probe_addresses()) {
    fmt::print("answering probes on {}\n", address);
  }
  if (const std::string metrics = (*app)->metrics_address(); !metrics.empty()) {
    fmt::print("metrics on {}\n", metrics);
  }
  std::fflush(stdout);
  AwaitTermination();
  const Status drained = (*app)->Drain(options.drain_limit, options.drain_delay);
  // Calls that still run may take any time, and the store needs no farewell.
  if (!drained.ok()) std::_Exit(Fail(drained));
  return 0;
}

int main(int argc, char** argv) {
  const auto command_line = ParseCommandLine(argc, argv);
  if (!command_line.ok()) return Fail(command_line.status());
  const auto* text = std::get_if<TextToPrint>(&*command_line);
  if (text == nullptr) return Serve(std::get<ServerOptions>(*command_line));
  fmt::print("{}", text->text);
  return 0;
}
