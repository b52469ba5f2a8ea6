#include "client/cli/model_import.h"

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/message_differencer.h>

#include <random>
#include <utility>
#include <variant>

#include "client/cli/array_tensor.h"
#include "client/cli/status_macros.h"

namespace tconv::cli {
namespace {

using formats::ActivationStep;
using formats::Layer;
using formats::Step;

absl::Status About(const std::string& name, const absl::Status& status) {
  return absl::Status(status.code(), fmt::format("{}: {}", name, std::string(status.message())));
}

absl::StatusOr<Weights> WeightsOf(const Layer& layer) {
  Weights weights;
  TCONV_CLI_ASSIGN_OR_RETURN(weights.kernel, ToTensor(layer.kernel));
  if (layer.bias) {
    TCONV_CLI_ASSIGN_OR_RETURN(weights.bias, ToTensor(*layer.bias));
  }
  return weights;
}

// Whether they compute the same; the names may differ, and whether they are trained.
bool SameLayer(v1::LayerConfig a, v1::LayerConfig b) {
  for (v1::LayerConfig* config : {&a, &b}) {
    config->clear_name();
    config->clear_trainable();
  }
  return google::protobuf::util::MessageDifferencer::Equals(a, b);
}

// One run of ImportModel().
class Import {
 public:
  Import(const Client& client, const ImportRequest& request) : client_(client), request_(request) {}

  absl::Status Look() {
    if (!request_.chain.empty()) {
      TCONV_CLI_RETURN_IF_ERROR(LookForChain());
    }
    for (const Layer& layer : request_.model.layers) {
      Target target{.layer = &layer, .name = request_.prefix + layer.name};
      TCONV_CLI_ASSIGN_OR_RETURN(target.existing_version, LookFor(layer, target.name));
      targets_.push_back(std::move(target));
    }
    return absl::OkStatus();
  }

  absl::Status Apply(const ShareObserver& observer) {
    const absl::Status created = Create(observer);
    if (!created.ok()) return TakeBack(created);
    const absl::Status replaced = Replace(observer);
    return replaced.ok() ? replaced : TakeBack(replaced);
  }

  std::vector<ImportedLayer> Imported() const {
    std::vector<ImportedLayer> layers;
    for (const Target& target : targets_) {
      layers.push_back({target.name, !target.existing_version.has_value(), target.version});
    }
    return layers;
  }

 private:
  struct Target {
    const Layer* layer = nullptr;
    std::string name;
    std::optional<int64_t> existing_version = {};  // of a layer that is there
    int64_t version = 0;                           // that the import has made; 0: none yet
  };

  absl::Status LookForChain() const {
    if (!request_.model.steps.ok()) return About(request_.chain, request_.model.steps.status());
    const absl::Status found = client_.GetChain(request_.chain).status();
    if (found.ok()) {
      return absl::AlreadyExistsError(fmt::format("there is a chain \"{}\"", request_.chain));
    }
    return absl::IsNotFound(found) ? absl::OkStatus() : found;
  }

  // The version of the weights of a layer that is there.
  absl::StatusOr<std::optional<int64_t>> LookFor(const Layer& layer,
                                                 const std::string& name) const {
    const absl::StatusOr<v1::Layer> existing = client_.Get(name);
    if (absl::IsNotFound(existing.status())) return std::nullopt;
    if (!existing.ok()) return existing.status();
    if (!request_.replace) {
      return absl::AlreadyExistsError(
          fmt::format("there is a layer \"{}\": --replace sets its weights", name));
    }
    TCONV_CLI_ASSIGN_OR_RETURN(const v1::LayerConfig config, AsOnServer(layer, name));
    if (!SameLayer(existing->config(), config)) {
      return absl::FailedPreconditionError(
          fmt::format("the layer \"{}\" of the server has another configuration", name));
    }
    return existing->weights_version();
  }

  // How the server understands the configuration: told by a layer without weights that
  // is there for as long as it takes.
  absl::StatusOr<v1::LayerConfig> AsOnServer(const Layer& layer, const std::string& name) const {
    const std::string trial = fmt::format("{}.import-{:08x}", name, std::random_device()());
    NewLayer draft{.name = trial, .definition = KerasJson{WithoutShape(layer.keras_json)}};
    TCONV_CLI_ASSIGN_OR_RETURN(const v1::Layer created, client_.Create(std::move(draft)));
    TCONV_CLI_RETURN_IF_ERROR(client_.Delete(trial));
    return created.config();
  }

  // A layer that knows the shape of its input would be built.
  static std::string WithoutShape(const std::string& keras_json) {
    auto json = nlohmann::json::parse(keras_json);
    json.erase("build_config");
    if (json["config"].is_object()) json["config"].erase("batch_input_shape");
    return json.dump();
  }

  absl::Status Create(const ShareObserver& observer) {
    for (Target& target : targets_) {
      if (target.existing_version) continue;
      TCONV_CLI_ASSIGN_OR_RETURN(Weights weights, WeightsOf(*target.layer));
      const auto created = client_.Create({.name = target.name,
                                           .definition = KerasJson{target.layer->keras_json},
                                           .weights = std::move(weights)});
      if (!created.ok()) return About(target.name, created.status());
      target.version = created->weights_version();
      ShowShare(observer);
    }
    return request_.chain.empty() ? absl::OkStatus() : CreateChain();
  }

  absl::Status CreateChain() const {
    std::vector<ChainStep> steps;
    for (const Step& step : *request_.model.steps) {
      if (const auto* layer = std::get_if<size_t>(&step)) {
        steps.emplace_back(targets_[*layer].name);
        continue;
      }
      const auto& activation = std::get<ActivationStep>(step);
      v1::KerasObject object;
      object.set_name(activation.name);
      const auto parsed = google::protobuf::util::JsonStringToMessage(activation.arguments.dump(),
                                                                      object.mutable_arguments());
      if (!parsed.ok()) return absl::InvalidArgumentError(activation.name + ": bad arguments");
      steps.emplace_back(std::move(object));
    }
    const absl::Status created = client_.CreateChain(request_.chain, steps).status();
    return created.ok() ? created : About(request_.chain, created);
  }

  absl::Status Replace(const ShareObserver& observer) {
    for (Target& target : targets_) {
      if (!target.existing_version) continue;
      TCONV_CLI_ASSIGN_OR_RETURN(Weights weights, WeightsOf(*target.layer));
      const auto version =
          *target.existing_version == 0
              ? absl::FailedPreconditionError("the layer is not built")
              : client_.SetWeights(target.name, std::move(weights), target.existing_version);
      if (!version.ok()) return About(target.name, version.status());
      target.version = *version;
      ShowShare(observer);
    }
    return absl::OkStatus();
  }

  // `error`, with what stays.
  absl::Status TakeBack(const absl::Status& error) const {
    std::string left;
    for (const Target& target : targets_) {
      if (target.version == 0) continue;
      if (target.existing_version) {
        left += fmt::format("; the weights of \"{}\" are replaced", target.name);
      } else if (const absl::Status deleted = client_.Delete(target.name); !deleted.ok()) {
        left += fmt::format("; \"{}\" is created and could not be deleted again: {}", target.name,
                            std::string(deleted.message()));
      }
    }
    return absl::Status(error.code(), std::string(error.message()) + left);
  }

  void ShowShare(const ShareObserver& observer) const {
    size_t done = 0;
    for (const Target& target : targets_) done += target.version == 0 ? 0 : 1;
    observer(static_cast<double>(done) / static_cast<double>(targets_.size()));
  }

  const Client& client_;
  const ImportRequest& request_;
  std::vector<Target> targets_;
};

}  // namespace

absl::StatusOr<std::vector<ImportedLayer>> ImportModel(const Client& client,
                                                       const ImportRequest& request,
                                                       const ShareObserver& observer) {
  Import import(client, request);
  TCONV_CLI_RETURN_IF_ERROR(import.Look());
  TCONV_CLI_RETURN_IF_ERROR(import.Apply(observer));
  return import.Imported();
}

}  // namespace tconv::cli
