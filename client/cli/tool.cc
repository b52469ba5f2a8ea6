#include "client/cli/tool.h"

#include <tconv/credentials.h>

#include <algorithm>
#include <iostream>

#include "client/cli/exit_code.h"
#include "client/cli/json.h"
#include "client/cli/status_macros.h"
#include "client/cli/tool_parser.h"

namespace tconv::cli {
namespace {

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
  ToolParser parser;
  try {
    // The parser takes the arguments from the back.
    parser.app().parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::ParseError& error) {
    return parser.app().exit(error, streams.out, streams.err) == 0 ? 0 : kUsageExitCode;
  }

  const GlobalOptions& options = parser.options();
  const auto run = [&]() -> absl::Status {
    TCONV_CLI_ASSIGN_OR_RETURN(const ClientOptions client, ToClientOptions(options));
    const auto connect = [&] { return Client(connector(options.server, client)); };
    Session session(connect, options.json, streams);
    return parser.command().run(session);
  };
  const absl::Status status = run();
  if (!status.ok()) PrintError(status, options.json, streams.err);
  return ExitCode(status);
}

}  // namespace tconv::cli
