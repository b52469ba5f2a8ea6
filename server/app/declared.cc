#include "server/app/declared.h"

#include <google/protobuf/util/json_util.h>
#include <tconv/v1/chain.pb.h>

#include <filesystem>
#include <map>
#include <set>
#include <system_error>
#include <utility>
#include <variant>

#include "formats/model_file.h"
#include "server/rpc/chain_info_codec.h"
#include "server/tensor/tensor_source.h"
#include "server/wire/keras_json.h"
#include "server/wire/layer_codec.h"

namespace tconv::server {
namespace {

// The files of the folder, without those that its mount needs for itself.
StatusOr<std::set<std::string>> FilesOf(const std::string& folder) {
  std::set<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (!name.starts_with('.')) names.insert(name);
  }
  if (!error) return names;
  return MakeError(StatusCode::kInvalidArgument, "preload: {}: {}", folder, error.message());
}

// A file that would be passed over is a mistake of whoever put it there.
Status CheckFiles(const std::set<std::string>& names) {
  std::set<std::string> configurations;
  for (const std::string& name : names) {
    if (formats::IsModelFile(name)) configurations.insert(formats::ConfigBeside(name));
  }
  for (const std::string& name : names) {
    if (formats::IsModelFile(name) || configurations.contains(name)) continue;
    return MakeError(StatusCode::kInvalidArgument,
                     "preload: {}: expected model files and their configurations", name);
  }
  return OkStatus();
}

DType ToDType(formats::DType dtype) {
  switch (dtype) {
    case formats::DType::kFloat64:
      return DType::kFloat64;
    case formats::DType::kFloat16:
      return DType::kFloat16;
    case formats::DType::kBFloat16:
      return DType::kBFloat16;
    case formats::DType::kFloat32:
      break;
  }
  return DType::kFloat32;
}

StatusOr<ViewSource> SourceOf(const formats::Array& array) {
  TCONV_ASSIGN_OR_RETURN(const Shape shape, Shape::Make(array.shape));
  return ViewSource({ToDType(array.dtype), shape, array.bytes.data()});
}

StatusOr<DeclaredLayer> Declare(const std::string& file, const formats::Layer& layer) {
  TCONV_ASSIGN_OR_RETURN(const KerasLayer keras, ParseKerasJson(layer.keras_json));
  TCONV_ASSIGN_OR_RETURN(LayerConfig config, LayerConfigFromProto(keras.config));
  DeclaredLayer declared{.file = file,
                         .name = layer.name,
                         .config = std::move(config),
                         .build_shape = keras.build_shape,
                         .kernel = layer.kernel,
                         .bias = layer.bias};
  TCONV_RETURN_IF_ERROR(declared.MakeWeights().status());
  return declared;
}

// By way of the message, so that arguments are read as in every other place.
StatusOr<ChainDraft> DeclareChain(const std::string& name, const formats::Model& model) {
  v1::CreateChainRequest request;
  request.set_name(name);
  for (const formats::Step& step : *model.steps) {
    v1::ChainStep& added = *request.add_steps();
    if (const auto* layer = std::get_if<size_t>(&step)) {
      added.set_layer(model.layers[*layer].name);
      continue;
    }
    const auto& activation = std::get<formats::ActivationStep>(step);
    added.mutable_activation()->set_name(activation.name);
    const auto parsed = google::protobuf::util::JsonStringToMessage(
        activation.arguments.dump(), added.mutable_activation()->mutable_arguments());
    if (!parsed.ok()) return InvalidField(activation.name, "expected other arguments");
  }
  return ChainDraftFromProto(request);
}

std::string StemOf(const std::string& file) {
  return std::filesystem::path(formats::ConfigBeside(file)).stem();
}

class Declaring {
 public:
  Status Take(const std::string& file, const formats::Model& model) {
    for (const formats::Layer& layer : model.layers) {
      TCONV_RETURN_IF_ERROR(TakeName(layer.name, file));
      auto declared = Declare(file, layer);
      if (!declared.ok()) {
        return Status(declared.status().code(),
                      fmt::format("{}: {}", layer.name, MessageOf(declared.status())));
      }
      declared_.layers.push_back(*std::move(declared));
    }
    if (!model.steps.ok() || model.steps->size() < 2) return OkStatus();
    const std::string name = StemOf(file);
    TCONV_RETURN_IF_ERROR(TakeName(name, file));
    TCONV_ASSIGN_OR_RETURN(ChainDraft draft, DeclareChain(name, model));
    declared_.chains.push_back({file, std::move(draft)});
    return OkStatus();
  }

  Declared TakeAll() { return std::move(declared_); }

 private:
  Status TakeName(const std::string& name, const std::string& file) {
    const auto [other, is_first] = file_of_.emplace(name, file);
    if (is_first) return OkStatus();
    return MakeError(StatusCode::kInvalidArgument, "the name \"{}\" is taken by {}", name,
                     other->second);
  }

  Declared declared_;
  std::map<std::string, std::string> file_of_;
};

}  // namespace

StatusOr<Weights> DeclaredLayer::MakeWeights() const {
  TCONV_ASSIGN_OR_RETURN(ViewSource kernel_source, SourceOf(kernel));
  std::optional<ViewSource> bias_source;
  if (bias) {
    TCONV_ASSIGN_OR_RETURN(const ViewSource source, SourceOf(*bias));
    bias_source.emplace(source);
  }
  const WeightsSource sources = {&kernel_source, bias_source ? &*bias_source : nullptr};
  return server::MakeWeights(config, kernel.shape.back(), sources, /*version=*/0);
}

StatusOr<Declared> ReadDeclared(const std::string& folder) {
  TCONV_ASSIGN_OR_RETURN(const std::set<std::string> files, FilesOf(folder));
  TCONV_RETURN_IF_ERROR(CheckFiles(files));
  Declaring declaring;
  for (const std::string& file : files) {
    if (!formats::IsModelFile(file)) continue;
    const auto model = formats::ReadModelFile(std::filesystem::path(folder) / file);
    const Status taken = model.ok() ? declaring.Take(file, *model) : model.status();
    if (!taken.ok())
      return Status(taken.code(), fmt::format("preload: {}: {}", file, MessageOf(taken)));
  }
  return declaring.TakeAll();
}

}  // namespace tconv::server
