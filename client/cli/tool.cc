#include "client/cli/tool.h"

#include <algorithm>
#include <iostream>

#include <CLI/CLI.hpp>

#include "client/cli/command.h"
#include "client/cli/exit_code.h"
#include "client/cli/json.h"

namespace tconv::cli {
namespace {

constexpr double kDefaultDeadlineSeconds = 60;

constexpr char kFileHelp[] =
    "Tensors are .npy files, in float32, float64, float16, or bfloat16 as '<V2'.\n"
    "The path \"-\" is standard input or output, except of pictures.\n"
    "--server, --deadline and --json may also follow the command.\n\n";

struct GlobalOptions {
  std::string server = "127.0.0.1:8500";
  double deadline_seconds = kDefaultDeadlineSeconds;
  bool json = false;
};

void AddGlobalOptions(CLI::App& app, GlobalOptions& options) {
  app.set_version_flag("--version", "tconv " TCONV_VERSION);
  app.add_option("--server", options.server,
                 "\"host:port\" or \"unix:/path\" of the server, \"dns:///name:port\" of replicas")
      ->envname("TCONV_SERVER")
      ->capture_default_str();
  app.add_option("--deadline", options.deadline_seconds,
                 "Seconds that a call may take; 0: as long as it takes")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_flag("--json", options.json, "Print results and errors as one line of JSON");
}

std::vector<Command> AddCommands(CLI::App& app) {
  return {AddCreate(app),  AddBuild(app),       AddSetWeights(app), AddGetWeights(app),
          AddForward(app), AddOutputShape(app), AddGet(app),        AddList(app),
          AddDelete(app),  AddHealth(app),      AddDemo(app),       AddBench(app)};
}

ClientOptions ToClientOptions(const GlobalOptions& options) {
  using Seconds = std::chrono::duration<double>;
  // A year stands for every longer time, which might not fit an integer.
  const Seconds deadline(std::min(options.deadline_seconds, 365 * 86400.0));
  return {.timeout = std::chrono::ceil<std::chrono::milliseconds>(deadline)};
}

void PrintError(const absl::Status& error, bool json, std::ostream& err) {
  if (json) {
    err << Dump(ErrorToJson(error)) << std::endl;
  } else {
    err << "tconv: " << error.message() << std::endl;
  }
}

}  // namespace

int RunTool(const std::vector<std::string>& arguments, Streams streams,
            const Connector& connector) {
  CLI::App app("Transposed-convolution layers on a tconv server.\n", "tconv");
  app.footer(std::string(kFileHelp) + kExitCodeHelp);
  app.require_subcommand(1);
  app.fallthrough();
  GlobalOptions options;
  AddGlobalOptions(app, options);
  const std::vector<Command> commands = AddCommands(app);
  try {
    // The parser takes the arguments from the back.
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::ParseError& error) {
    return app.exit(error, streams.out, streams.err) == 0 ? 0 : kUsageExitCode;
  }

  Session session(Client(connector(options.server, ToClientOptions(options))), options.json,
                  streams);
  const auto command = std::find_if(commands.begin(), commands.end(),
                                    [](const Command& c) { return c.parser->parsed(); });
  const absl::Status status = command->run(session);
  if (!status.ok()) PrintError(status, options.json, streams.err);
  return ExitCode(status);
}

}  // namespace tconv::cli
