#include <fmt/format.h>

#include <memory>

#include "client/cli/command.h"
#include "client/cli/layer_text.h"
#include "client/cli/status_macros.h"

namespace tconv::cli {
namespace {

constexpr char kFunctionSign = '@';

// Adds what one argument says to the steps.
void AppendStep(const std::string& text, std::vector<ChainStep>& steps) {
  if (!text.starts_with(kFunctionSign)) {
    steps.emplace_back(text);
  } else {
    steps.emplace_back(ParseObject("steps", text.substr(1)));
  }
}

void AddChainName(CLI::App& parser, std::string& name) {
  AddName(parser, name, "Name of the chain");
}

}  // namespace

Command AddCreateChain(CLI::App& app) {
  struct Flags {
    std::string name;
    std::vector<ChainStep> steps;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* parser = app.add_subcommand(
      "create-chain", "Put layers behind each other, so that one call goes through all of them");
  AddChainName(*parser, flags->name);
  parser
      ->add_option_function<std::vector<std::string>>(
          "steps",
          [flags = flags.get()](const std::vector<std::string>& texts) {
            for (const std::string& text : texts) AppendStep(text, flags->steps);
          },
          "Names of layers, and functions between them: up1 @relu up2 "
          "\"@leaky_relu negative_slope=0.2\" up3 @tanh")
      ->required()
      ->type_name("STEP");
  return {parser, [flags](Session& session) -> absl::Status {
            TCONV_CLI_ASSIGN_OR_RETURN(const v1::Chain chain,
                                       session.client().CreateChain(flags->name, flags->steps));
            session.Report(ChainToJson(chain), FormatChain(chain));
            return absl::OkStatus();
          }};
}

Command AddGetChain(CLI::App& app) {
  auto name = std::make_shared<std::string>();
  CLI::App* parser = app.add_subcommand("get-chain", "Describe a chain and its steps");
  AddChainName(*parser, *name);
  return {parser, [name](Session& session) -> absl::Status {
            TCONV_CLI_ASSIGN_OR_RETURN(const v1::Chain chain, session.client().GetChain(*name));
            session.Report(ChainToJson(chain), FormatChain(chain));
            return absl::OkStatus();
          }};
}

Command AddListChains(CLI::App& app) {
  CLI::App* parser = app.add_subcommand("list-chains", "List all chains");
  return {parser, [](Session& session) -> absl::Status {
            TCONV_CLI_ASSIGN_OR_RETURN(const auto chains, session.client().ListAllChains());
            Json json = Json::array();
            for (const v1::Chain& chain : chains) json.push_back(ChainToJson(chain));
            session.Report({{"chains", std::move(json)}}, FormatChains(chains));
            return absl::OkStatus();
          }};
}

Command AddDeleteChain(CLI::App& app) {
  auto name = std::make_shared<std::string>();
  CLI::App* parser = app.add_subcommand("delete-chain", "Delete a chain; its layers stay");
  AddChainName(*parser, *name);
  return {
      parser, [name](Session& session) -> absl::Status {
        TCONV_CLI_RETURN_IF_ERROR(session.client().DeleteChain(*name));
        session.Report({{"name", *name}, {"deleted", true}}, fmt::format("deleted {}\n", *name));
        return absl::OkStatus();
      }};
}

}  // namespace tconv::cli
