#include <map>
#include <memory>
#include <string>

#include "client/cli/command.h"
#include "manual/completion.h"

namespace tconv::cli {

Command AddCompletion(CLI::App& app) {
  using Completion = std::string (*)(const manual::CommandDocs&);
  static const std::map<std::string, Completion> kShells = {{"bash", manual::BashCompletion},
                                                            {"fish", manual::FishCompletion},
                                                            {"zsh", manual::ZshCompletion}};
  auto shell = std::make_shared<std::string>();
  CLI::App* parser = app.add_subcommand(
      "completion", "Print a script with which a shell completes commands and options");
  parser->add_option("shell", *shell, "For bash: source <(tconv completion bash)")
      ->required()
      ->check(CLI::IsMember(kShells).description(""))
      ->type_name("bash|fish|zsh");
  return {parser, [shell, &app](Session& session) {
            const std::string script = kShells.at(*shell)(manual::DocsOf(app));
            session.Report({{"script", script}}, script);
            return absl::OkStatus();
          }};
}

}  // namespace tconv::cli
