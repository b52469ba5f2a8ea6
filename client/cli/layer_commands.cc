#include <fmt/format.h>

#include <memory>

#include "client/cli/command.h"
#include "client/cli/layer_text.h"
#include "client/cli/status_macros.h"

namespace tconv::cli {

Command AddBuild(CLI::App& app) {
  struct Flags {
    std::string name;
    Shape input_shape;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* parser =
      app.add_subcommand("build", "Build a layer that was created without a shape or weights");
  AddName(*parser, flags->name);
  AddExtents(*parser, "--input-shape", flags->input_shape, kInputShapeHelp)->required();
  return {parser, [flags](Session& session) -> absl::Status {
            TCONV_CLI_ASSIGN_OR_RETURN(const v1::Layer layer,
                                       session.client().Build(flags->name, flags->input_shape));
            session.Report(LayerToJson(layer), FormatLayer(layer));
            return absl::OkStatus();
          }};
}

Command AddGet(CLI::App& app) {
  auto name = std::make_shared<std::string>();
  CLI::App* parser = app.add_subcommand("get", "Describe a layer and how it is computed");
  AddName(*parser, *name);
  return {parser, [name](Session& session) -> absl::Status {
            TCONV_CLI_ASSIGN_OR_RETURN(const v1::Layer layer, session.client().Get(*name));
            session.Report(LayerToJson(layer), FormatLayer(layer));
            return absl::OkStatus();
          }};
}

Command AddList(CLI::App& app) {
  CLI::App* parser = app.add_subcommand("list", "List all layers");
  return {parser, [](Session& session) -> absl::Status {
            TCONV_CLI_ASSIGN_OR_RETURN(const auto layers, session.client().ListAll());
            Json json = Json::array();
            for (const v1::Layer& layer : layers) json.push_back(LayerToJson(layer));
            session.Report({{"layers", std::move(json)}}, FormatLayers(layers));
            return absl::OkStatus();
          }};
}

Command AddDelete(CLI::App& app) {
  auto name = std::make_shared<std::string>();
  CLI::App* parser = app.add_subcommand("delete", "Delete a layer and its weights");
  AddName(*parser, *name);
  return {
      parser, [name](Session& session) -> absl::Status {
        TCONV_CLI_RETURN_IF_ERROR(session.client().Delete(*name));
        session.Report({{"name", *name}, {"deleted", true}}, fmt::format("deleted {}\n", *name));
        return absl::OkStatus();
      }};
}

Command AddHealth(CLI::App& app) {
  auto service = std::make_shared<std::string>();
  CLI::App* parser = app.add_subcommand("health", "Ask whether the server serves");
  parser->add_option("--service", *service, "Of one gRPC service (default: the whole server)");
  return {parser, [service](Session& session) -> absl::Status {
            TCONV_CLI_RETURN_IF_ERROR(session.client().CheckHealth(*service));
            session.Report({{"service", *service}, {"serving", true}}, "serving\n");
            return absl::OkStatus();
          }};
}

}  // namespace tconv::cli
