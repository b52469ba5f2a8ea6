#include <fmt/format.h>

#include <memory>
#include <string>

#include "client/cli/command.h"
#include "client/cli/status_macros.h"

namespace tconv::cli {

Command AddLogLevel(CLI::App& app) {
  auto level = std::make_shared<std::string>();
  CLI::App* parser =
      app.add_subcommand("log-level", "Tell or change from which level on the server logs");
  parser->add_option("level", *level, "The new one (default: tell the present one)")
      ->type_name("trace|debug|info|warning|error|critical|off");
  return {parser, [level](Session& session) -> absl::Status {
            if (level->empty()) {
              TCONV_CLI_ASSIGN_OR_RETURN(const std::string present, session.client().GetLogLevel());
              session.Report({{"level", present}}, fmt::format("{}\n", present));
              return absl::OkStatus();
            }
            TCONV_CLI_ASSIGN_OR_RETURN(const std::string previous,
                                       session.client().SetLogLevel(*level));
            session.Report({{"level", *level}, {"previous_level", previous}},
                           fmt::format("{}, until now {}\n", *level, previous));
            return absl::OkStatus();
          }};
}

}  // namespace tconv::cli
