#include "client/cli/tool.h"

#include <tconv/credentials.h>

#include <algorithm>
#include <iostream>

#include <CLI/CLI.hpp>

#include "client/cli/command.h"
#include "client/cli/exit_code.h"
#include "client/cli/json.h"
#include "client/cli/status_macros.h"

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
  bool tls = false;
  TlsFiles tls_files;
  std::string token_file;
  bool allow_plaintext = false;
};

// Each may also come from the environment. The names of the pair differ from those of
// the server, which may share it.
void AddSecurityOptions(CLI::App& app, GlobalOptions& options) {
  const auto add_file = [&app](const char* flag, const char* variable, std::string& path,
                               const char* help) {
    app.add_option(flag, path, help)->type_name("FILE")->envname(variable);
  };
  app.add_flag("--tls", options.tls, "Use TLS; the files below imply it")->envname("TCONV_TLS");
  add_file("--tls-ca", "TCONV_TLS_CA", options.tls_files.ca,
           "PEM file: who may vouch for the server; else whom the system trusts");
  add_file("--tls-cert", "TCONV_CLIENT_CERT", options.tls_files.certificate,
           "PEM file: the client's own certificate, for servers that ask");
  add_file("--tls-key", "TCONV_CLIENT_KEY", options.tls_files.key, "PEM file: its key");
  add_file("--token-file", "TCONV_TOKEN_FILE", options.token_file,
           "File with the token that says who calls");
  app.add_flag("--allow-plaintext", options.allow_plaintext,
               "Send the token without TLS to other machines, too")
      ->envname("TCONV_ALLOW_PLAINTEXT");
}

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
  AddSecurityOptions(app, options);
  app.add_flag("--json", options.json, "Print results and errors as one line of JSON");
}

std::vector<Command> AddCommands(CLI::App& app) {
  return {AddCreate(app),         AddBuild(app),        AddSetWeights(app), AddGetWeights(app),
          AddForward(app),        AddOutputShape(app),  AddGet(app),        AddList(app),
          AddDelete(app),         AddImport(app),       AddExport(app),     AddSetOptimizer(app),
          AddGetOptimizer(app),   AddSetTrainable(app), AddTrainStep(app),  AddBackward(app),
          AddApplyGradients(app), AddHealth(app),       AddLogLevel(app),   AddToken(app),
          AddDemo(app),           AddBench(app)};
}

absl::StatusOr<ClientOptions> ToClientOptions(const GlobalOptions& options) {
  using Seconds = std::chrono::duration<double>;
  // A year stands for every longer time, which might not fit an integer.
  const Seconds deadline(std::min(options.deadline_seconds, 365 * 86400.0));
  ClientOptions client{.timeout = std::chrono::ceil<std::chrono::milliseconds>(deadline),
                       .token_file = options.token_file,
                       .allow_plaintext_token = options.allow_plaintext};
  const TlsFiles& files = options.tls_files;
  if (options.tls || !(files.ca + files.certificate + files.key).empty()) {
    TCONV_CLI_ASSIGN_OR_RETURN(client.credentials, TlsCredentials(files));
  }
  return client;
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

  const auto command = std::find_if(commands.begin(), commands.end(),
                                    [](const Command& c) { return c.parser->parsed(); });
  const auto run = [&]() -> absl::Status {
    TCONV_CLI_ASSIGN_OR_RETURN(const ClientOptions client, ToClientOptions(options));
    Session session(Client(connector(options.server, client)), options.json, streams);
    return command->run(session);
  };
  const absl::Status status = run();
  if (!status.ok()) PrintError(status, options.json, streams.err);
  return ExitCode(status);
}

}  // namespace tconv::cli
