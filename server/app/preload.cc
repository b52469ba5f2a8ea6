#include "server/app/preload.h"

#include <google/protobuf/util/message_differencer.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "formats/model_file.h"
#include "server/tensor/tensor_source.h"
#include "server/wire/keras_json.h"
#include "server/wire/layer_codec.h"

namespace tconv::server {
namespace {

// Of a layer that other servers change at the same time.
constexpr int kMostTries = 16;

Status About(const std::string& place, const Status& status) {
  return Status(status.code(), fmt::format("preload: {}: {}", place, MessageOf(status)));
}

std::string NameOf(const DeclaredLayer& declared) {
  return fmt::format("{}: {}", declared.file, declared.layer.name);
}

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

// The weights of a file, for as long as that is in memory.
class FileWeights {
 public:
  static StatusOr<FileWeights> Of(const formats::Layer& layer) {
    FileWeights weights;
    TCONV_ASSIGN_OR_RETURN(weights.kernel_, SourceOf(layer.kernel));
    if (layer.bias) {
      TCONV_ASSIGN_OR_RETURN(weights.bias_, SourceOf(*layer.bias));
    }
    return weights;
  }

  WeightsSource source() { return {kernel_.get(), bias_.get()}; }
  // In the types of the layer.
  StatusOr<Weights> Make(const LayerConfig& config) {
    const Shape& kernel = kernel_->shape();
    return MakeWeights(config, kernel[kernel.rank() - 1], source(), /*version=*/0);
  }

 private:
  static StatusOr<std::unique_ptr<ViewSource>> SourceOf(const formats::Array& array) {
    TCONV_ASSIGN_OR_RETURN(const Shape shape, Shape::Make(array.shape));
    return std::make_unique<ViewSource>(
        ConstTensorView{ToDType(array.dtype), shape, array.bytes.data()});
  }

  std::unique_ptr<ViewSource> kernel_;
  std::unique_ptr<ViewSource> bias_;
};

StatusOr<DeclaredLayer> Declare(const std::string& file, formats::Layer layer) {
  DeclaredLayer declared{.file = file, .layer = std::move(layer)};
  TCONV_ASSIGN_OR_RETURN(const KerasLayer keras, ParseKerasJson(declared.layer.keras_json));
  TCONV_ASSIGN_OR_RETURN(declared.config, LayerConfigFromProto(keras.config));
  declared.build_shape = keras.build_shape;
  TCONV_ASSIGN_OR_RETURN(FileWeights weights, FileWeights::Of(declared.layer));
  TCONV_RETURN_IF_ERROR(weights.Make(declared.config).status());
  return declared;
}

bool SameElements(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::memcmp(a.view().data, b.view().data, static_cast<size_t>(a.size_bytes())) == 0;
}

bool SameWeights(const Weights& a, const Weights& b) {
  if (a.bias.has_value() != b.bias.has_value()) return false;
  return SameElements(a.kernel, b.kernel) && (!a.bias || SameElements(*a.bias, *b.bias));
}

// What tells them apart, "modified: filters: 4 -> 8"; empty for nothing. Names are
// free, and layers may be frozen while they are served.
std::string Difference(const LayerConfig& stored, const LayerConfig& declared) {
  const auto comparable = [](const LayerConfig& config) {
    v1::LayerConfig proto = ToProto(config);
    proto.clear_name();
    proto.clear_trainable();
    return proto;
  };
  std::string text;
  google::protobuf::util::MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&text);
  differencer.Compare(comparable(stored), comparable(declared));
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

// NOT_FOUND: there is no such layer yet.
StatusOr<LayerInfo> FindSame(const DeclaredLayer& declared, LayerHost& host) {
  TCONV_ASSIGN_OR_RETURN(LayerInfo existing, host.Get(declared.layer.name));
  const std::string difference = Difference(existing.config, declared.config);
  if (difference.empty()) return existing;
  return MakeError(StatusCode::kFailedPrecondition,
                   "the layer of this name in the store has another configuration: {}", difference);
}

Status CheckExisting(const std::vector<DeclaredLayer>& layers, LayerHost& host) {
  for (const DeclaredLayer& declared : layers) {
    const Status found = FindSame(declared, host).status();
    if (!found.ok() && !absl::IsNotFound(found)) return About(NameOf(declared), found);
  }
  return OkStatus();
}

StatusOr<std::string> Create(const DeclaredLayer& declared, WeightsSource weights,
                             LayerHost& host) {
  TCONV_RETURN_IF_ERROR(host.Create({.name = declared.layer.name,
                                     .config = declared.config,
                                     .input_shape = declared.build_shape,
                                     .weights = weights})
                            .status());
  return "created";
}

// Fixes the channels of a layer that somebody has created without a shape.
Status Build(const DeclaredLayer& declared, LayerHost& host) {
  PartialShape shape(static_cast<size_t>(declared.config.tensor_rank()), -1);
  shape[static_cast<size_t>(declared.config.channel_axis())] = declared.layer.kernel.shape.back();
  return host.Build(declared.layer.name, shape).status();
}

StatusOr<std::string> SetWeights(const DeclaredLayer& declared, FileWeights& weights,
                                 LayerHost& host) {
  TCONV_ASSIGN_OR_RETURN(const auto current, host.GetWeights(declared.layer.name));
  TCONV_ASSIGN_OR_RETURN(const Weights wanted, weights.Make(declared.config));
  if (SameWeights(*current, wanted)) return "unchanged";
  TCONV_ASSIGN_OR_RETURN(const int64_t version,
                         host.SetWeights(declared.layer.name, weights.source(), current->version));
  return fmt::format("changed, version {}", version);
}

// What has been done; ABORTED or ALREADY_EXISTS when somebody else was faster.
StatusOr<std::string> TryToApply(const DeclaredLayer& declared, LayerHost& host) {
  TCONV_ASSIGN_OR_RETURN(FileWeights weights, FileWeights::Of(declared.layer));
  const auto existing = FindSame(declared, host);
  if (absl::IsNotFound(existing.status())) return Create(declared, weights.source(), host);
  if (!existing.ok()) return existing.status();
  if (existing->weights_version == 0) {
    TCONV_RETURN_IF_ERROR(Build(declared, host));
  }
  return SetWeights(declared, weights, host);
}

StatusOr<std::string> Apply(const DeclaredLayer& declared, LayerHost& host) {
  StatusOr<std::string> done = TryToApply(declared, host);
  for (int tries = 1; tries < kMostTries; ++tries) {
    if (!absl::IsAborted(done.status()) && !absl::IsAlreadyExists(done.status())) break;
    done = TryToApply(declared, host);
  }
  return done;
}

}  // namespace

StatusOr<std::vector<DeclaredLayer>> ReadPreload(const std::string& folder) {
  TCONV_ASSIGN_OR_RETURN(const std::set<std::string> files, FilesOf(folder));
  TCONV_RETURN_IF_ERROR(CheckFiles(files));
  std::vector<DeclaredLayer> layers;
  std::map<std::string, std::string> file_of;
  for (const std::string& file : files) {
    if (!formats::IsModelFile(file)) continue;
    auto model = formats::ReadModelFile(std::filesystem::path(folder) / file);
    if (!model.ok()) return About(file, model.status());
    for (formats::Layer& layer : model->layers) {
      const auto [other, is_first] = file_of.emplace(layer.name, file);
      if (!is_first) {
        return MakeError(StatusCode::kInvalidArgument,
                         "preload: both {} and {} have a layer \"{}\"", other->second, file,
                         layer.name);
      }
      const std::string place = fmt::format("{}: {}", file, layer.name);
      auto declared = Declare(file, std::move(layer));
      if (!declared.ok()) return About(place, declared.status());
      layers.push_back(*std::move(declared));
    }
  }
  return layers;
}

Status ApplyPreload(const std::vector<DeclaredLayer>& layers, LayerHost& host) {
  TCONV_RETURN_IF_ERROR(CheckExisting(layers, host));
  for (const DeclaredLayer& declared : layers) {
    const StatusOr<std::string> done = Apply(declared, host);
    if (!done.ok()) return About(NameOf(declared), done.status());
    spdlog::info("preload: {}: {}", NameOf(declared), *done);
  }
  return OkStatus();
}

}  // namespace tconv::server
