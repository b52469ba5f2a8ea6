#include "client/cli/tool_parser.h"

#include <algorithm>

#include "client/cli/exit_code.h"

namespace tconv::cli {
namespace {

constexpr char kFileHelp[] =
    "Tensors are .npy files, in float32, float64, float16, or bfloat16 as '<V2'.\n"
    "The path \"-\" is standard input or output, except of pictures.\n"
    "--server, --deadline and --json may also follow the command.\n\n";

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
  return {AddCreate(app),       AddBuild(app),          AddSetWeights(app),   AddGetWeights(app),
          AddForward(app),      AddOutputShape(app),    AddGet(app),          AddList(app),
          AddDelete(app),       AddInspect(app),        AddImport(app),       AddExport(app),
          AddSetOptimizer(app), AddGetOptimizer(app),   AddSetTrainable(app), AddTrainStep(app),
          AddBackward(app),     AddApplyGradients(app), AddCreateChain(app),  AddGetChain(app),
          AddListChains(app),   AddDeleteChain(app),    AddHealth(app),       AddLogLevel(app),
          AddToken(app),        AddDemo(app),           AddBench(app),        AddCompletion(app)};
}

}  // namespace

ToolParser::ToolParser() : app_("Transposed-convolution layers on a tconv server.\n", "tconv") {
  app_.footer(std::string(kFileHelp) + kExitCodeHelp);
  app_.require_subcommand(1);
  app_.fallthrough();
  AddGlobalOptions(app_, options_);
  commands_ = AddCommands(app_);
}

const Command& ToolParser::command() const {
  return *std::find_if(commands_.begin(), commands_.end(),
                       [](const Command& command) { return command.parser->parsed(); });
}

}  // namespace tconv::cli
