#include <fmt/format.h>

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "client/cli/array_tensor.h"
#include "client/cli/command.h"
#include "client/cli/status_macros.h"
#include "client/cli/table.h"
#include "client/cli/value_text.h"
#include "formats/keras_model.h"
#include "formats/model_file.h"
#include "formats/safetensors.h"

namespace tconv::cli {
namespace {

using NamedArrays = std::vector<std::pair<std::string, formats::Array>>;

struct ExportFlags {
  std::vector<std::string> names;
  std::string output_path;
};

// What the two files will hold.
struct Exported {
  Json json = Json::array();  // of the layers, or of the Sequential
  std::vector<std::string> layers;
  NamedArrays arrays;
};

absl::StatusOr<Json> ParseKerasJson(const std::string& name, const std::string& text) {
  if (text.empty()) {
    return absl::FailedPreconditionError(
        fmt::format("{}: Keras has no form for this configuration", name));
  }
  Json json = Json::parse(text, /*cb=*/nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return absl::InternalError(name + ": the server's JSON is none");
  return json;
}

// The layers go by their names on the server, which may differ from those of Keras.
absl::StatusOr<Json> LayerJson(const Client& client, const std::string& name) {
  TCONV_CLI_ASSIGN_OR_RETURN(const v1::Layer layer, client.Get(name));
  TCONV_CLI_ASSIGN_OR_RETURN(Json json, ParseKerasJson(name, layer.keras_json()));
  json["config"]["name"] = name;
  return json;
}

absl::StatusOr<Exported> DescribeChain(const v1::Chain& chain) {
  Exported exported;
  TCONV_CLI_ASSIGN_OR_RETURN(exported.json, ParseKerasJson(chain.name(), chain.keras_json()));
  std::set<std::string> seen;
  for (const v1::ChainStep& step : chain.steps()) {
    if (step.has_layer()) exported.layers.push_back(step.layer());
  }
  size_t next = 0;
  for (Json& layer : exported.json["config"]["layers"]) {
    if (!formats::IsTransposedConvolution(formats::TextAt(layer, "class_name"))) continue;
    if (next == exported.layers.size()) break;
    const std::string& name = exported.layers[next++];
    if (!seen.insert(name).second) {
      return absl::FailedPreconditionError(
          fmt::format("{}: a Sequential of Keras cannot have \"{}\" twice", chain.name(), name));
    }
    layer["config"]["name"] = name;
  }
  return exported;
}

absl::StatusOr<Exported> Describe(const std::vector<std::string>& names, const Client& client) {
  Exported exported;
  for (const std::string& name : names) {
    auto json = LayerJson(client, name);
    if (absl::IsNotFound(json.status()) && names.size() == 1) {
      const absl::StatusOr<v1::Chain> chain = client.GetChain(name);
      if (chain.ok()) return DescribeChain(*chain);
    }
    if (!json.ok()) return json.status();
    exported.json.push_back(*std::move(json));
    exported.layers.push_back(name);
  }
  return exported;
}

absl::Status AddWeights(const Client& client, const std::string& name, NamedArrays& arrays) {
  TCONV_CLI_ASSIGN_OR_RETURN(const VersionedWeights answer, client.GetWeights(name));
  TCONV_CLI_ASSIGN_OR_RETURN(formats::Array kernel, ToArray(answer.weights.kernel));
  arrays.emplace_back(name + "/kernel", std::move(kernel));
  if (!answer.weights.bias) return absl::OkStatus();
  TCONV_CLI_ASSIGN_OR_RETURN(formats::Array bias, ToArray(*answer.weights.bias));
  arrays.emplace_back(name + "/bias", std::move(bias));
  return absl::OkStatus();
}

absl::StatusOr<Exported> Fetch(const std::vector<std::string>& names, const Client& client) {
  TCONV_CLI_ASSIGN_OR_RETURN(Exported exported, Describe(names, client));
  for (const std::string& layer : exported.layers) {
    TCONV_CLI_RETURN_IF_ERROR(AddWeights(client, layer, exported.arrays));
  }
  return exported;
}

absl::Status Export(const ExportFlags& flags, Session& session) {
  TCONV_CLI_ASSIGN_OR_RETURN(const Exported exported, session.Await("getting the weights", [&] {
    return Fetch(flags.names, session.client());
  }));
  TCONV_CLI_RETURN_IF_ERROR(session.Write(flags.output_path, [&exported](std::ostream& out) {
    return formats::WriteSafetensors(out, exported.arrays);
  }));
  const std::string json_path = formats::ConfigBeside(flags.output_path);
  TCONV_CLI_RETURN_IF_ERROR(session.WriteText(json_path, exported.json.dump(1) + "\n"));
  Rows rows;
  Json arrays = Json::object();
  for (const auto& [name, array] : exported.arrays) {
    rows.push_back({name, FormatArray(array)});
    arrays[name] = DescribeArray(array);
  }
  session.Report({{"layers", exported.layers},
                  {"arrays", std::move(arrays)},
                  {"files", {flags.output_path, json_path}}},
                 FormatTable(rows));
  return absl::OkStatus();
}

}  // namespace

Command AddExport(CLI::App& app) {
  constexpr std::string_view kSuffix = ".safetensors";
  auto flags = std::make_shared<ExportFlags>();
  CLI::App* parser = app.add_subcommand(
      "export", "Write layers, or a chain, to a .safetensors file and their JSON beside it");
  parser->add_option("name", flags->names, "Names of layers, or of one chain")->required();
  parser
      ->add_option("-o,--output", flags->output_path,
                   "FILE.safetensors; the configuration goes to FILE.json")
      ->type_name("FILE")
      ->required();
  parser->callback([flags = flags.get(), kSuffix] {
    if (!flags->output_path.ends_with(kSuffix)) {
      throw CLI::ValidationError("--output", "expected a file that ends in .safetensors");
    }
    if (std::set(flags->names.begin(), flags->names.end()).size() != flags->names.size()) {
      throw CLI::ValidationError("name", "expected different names");
    }
  });
  return {parser, [flags](Session& session) { return Export(*flags, session); }};
}

}  // namespace tconv::cli
