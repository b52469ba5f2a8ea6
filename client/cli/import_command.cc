#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/cli/array_tensor.h"
#include "client/cli/command.h"
#include "client/cli/model_import.h"
#include "client/cli/status_macros.h"
#include "client/cli/table.h"
#include "formats/model_file.h"

namespace tconv::cli {
namespace {

using formats::Layer;
using formats::Model;

struct ImportFlags {
  std::string path;
  std::vector<std::string> layers;
  std::string prefix;
  std::string config_path;
  bool from_pytorch = false;
  bool list = false;
  bool replace = false;
  std::string chain;
};

absl::StatusOr<Model> ReadModel(const ImportFlags& flags) {
  auto model = formats::ReadModelFile(
      flags.path, {.config_path = flags.config_path, .from_pytorch = flags.from_pytorch});
  if (model.ok()) return model;
  return absl::Status(model.status().code(),
                      fmt::format("{}: {}", flags.path, std::string(model.status().message())));
}

// Leaves the layers with these names; all when there are none.
absl::Status Select(const std::vector<std::string>& names, Model& model) {
  if (names.empty()) return absl::OkStatus();
  std::vector<Layer> selected;
  for (const std::string& name : names) {
    const auto layer = std::find_if(model.layers.begin(), model.layers.end(),
                                    [&name](const Layer& l) { return l.name == name; });
    if (layer == model.layers.end()) {
      return absl::InvalidArgumentError(
          fmt::format("the file has no layer \"{}\": --list shows those it has", name));
    }
    selected.push_back(*layer);
  }
  model.layers = std::move(selected);
  return absl::OkStatus();
}

void ReportList(const Model& model, Session& session) {
  Rows rows = {{"LAYER", "CLASS", "KERNEL", "BIAS"}};
  Json layers = Json::array();
  for (const Layer& layer : model.layers) {
    rows.push_back({layer.name, layer.class_name, FormatArray(layer.kernel),
                    layer.bias ? FormatArray(*layer.bias) : "-"});
    layers.push_back({{"name", layer.name},
                      {"class_name", layer.class_name},
                      {"kernel", DescribeArray(layer.kernel)},
                      {"bias", layer.bias ? DescribeArray(*layer.bias) : Json()},
                      {"keras_json", Json::parse(layer.keras_json)}});
  }
  std::string text = FormatTable(rows);
  if (!model.passed_over.empty()) {
    text += fmt::format("\nnot transposed convolutions: {}\n", fmt::join(model.passed_over, ", "));
  }
  const std::string chain = model.steps.ok() ? "" : std::string(model.steps.status().message());
  text += chain.empty() ? "\n--chain makes a chain of the model\n"
                        : fmt::format("\nnot a chain: {}\n", chain);
  session.Report({{"model", model.name},
                  {"layers", std::move(layers)},
                  {"passed_over", model.passed_over},
                  {"is_chain", model.steps.ok()},
                  {"why_not_a_chain", chain}},
                 text);
}

void ReportImport(const std::vector<ImportedLayer>& imported, const std::string& chain,
                  Session& session) {
  Rows rows;
  Json layers = Json::array();
  for (const ImportedLayer& layer : imported) {
    rows.push_back({layer.name, layer.is_new ? "created" : "weights replaced",
                    fmt::format("weights version {}", layer.weights_version)});
    layers.push_back({{"name", layer.name},
                      {"created", layer.is_new},
                      {"weights_version", layer.weights_version}});
  }
  if (!chain.empty()) rows.push_back({chain, "created", "chain"});
  session.Report({{"layers", std::move(layers)}, {"chain", chain.empty() ? Json() : Json(chain)}},
                 FormatTable(rows));
}

absl::Status Import(const ImportFlags& flags, Session& session) {
  // Forks, so nothing that has threads comes before: no connection, and no progress.
  TCONV_CLI_ASSIGN_OR_RETURN(Model model, ReadModel(flags));
  TCONV_CLI_RETURN_IF_ERROR(Select(flags.layers, model));
  if (flags.list) {
    ReportList(model, session);
    return absl::OkStatus();
  }
  const ImportRequest request{.model = std::move(model),
                              .prefix = flags.prefix,
                              .replace = flags.replace,
                              .chain = flags.chain};
  TCONV_CLI_ASSIGN_OR_RETURN(const std::vector<ImportedLayer> imported,
                             session.AwaitShare("importing", [&](const ShareObserver& observer) {
                               return ImportModel(session.client(), request, observer);
                             }));
  ReportImport(imported, flags.chain, session);
  return absl::OkStatus();
}

}  // namespace

Command AddImport(CLI::App& app) {
  auto flags = std::make_shared<ImportFlags>();
  CLI::App* parser = app.add_subcommand(
      "import", "Create the transposed convolutions of a model file, with their weights");
  parser->add_option("file", flags->path, "A .keras, .weights.h5, .h5, .npz or .safetensors file")
      ->required()
      ->type_name("FILE");
  CLI::Option* list =
      parser->add_flag("--list", flags->list, "Only show what is in the file; asks no server");
  CLI::Option* layers =
      parser->add_option("--layer", flags->layers, "Only the layer of this name; may be repeated")
          ->type_name("NAME")
          ->allow_extra_args(false);
  parser->add_option("--prefix", flags->prefix, "Begins the names of the layers on the server")
      ->type_name("TEXT");
  AddFile(*parser, "--config", flags->config_path,
          "JSON of the model or its layers, for files of weights alone (default: the file of the "
          "same name that ends in .json)");
  parser->add_flag("--pytorch", flags->from_pytorch,
                   "The arrays are PyTorch's: NAME.weight, (channels, filters, kernel size...)");
  CLI::Option* replace =
      parser->add_flag("--replace", flags->replace,
                       "Set the weights of layers that exist, if their configuration is the same");
  parser
      ->add_option("--chain", flags->chain,
                   "Make a chain of this name of the whole model, a Sequential of transposed "
                   "convolutions and activations")
      ->type_name("NAME")
      ->excludes(list)
      ->excludes(layers)
      ->excludes(replace);
  return {parser, [flags](Session& session) { return Import(*flags, session); }};
}

}  // namespace tconv::cli
