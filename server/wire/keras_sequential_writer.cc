#include <set>
#include <string>
#include <utility>

#include "server/wire/keras_json.h"
#include "server/wire/keras_layer_writer.h"
#include "server/wire/keras_object_writer.h"

namespace tconv::server {
namespace {

using Json = OrderedJson;

// Names of the layers of one model, which Keras wants to be different.
class Names {
 public:
  // False: something has the name.
  bool Take(const std::string& name) { return taken_.insert(name).second; }

  // `stem`, else stem_1, stem_2, ...
  std::string TakeLike(const std::string& stem) {
    std::string name = stem;
    for (int number = 1; !Take(name); ++number) name = stem + "_" + std::to_string(number);
    return name;
  }

 private:
  std::set<std::string> taken_;
};

// Nothing when two of them are the same layer: the weights of one are not shared in a
// Sequential that is read from JSON.
std::optional<Names> NamesOfLayers(std::span<const KerasStep> steps) {
  Names names;
  for (const KerasStep& step : steps) {
    const auto* const layer = std::get_if<KerasStepLayer>(&step);
    if (layer != nullptr && !names.Take(layer->name)) return std::nullopt;
  }
  return names;
}

std::optional<Json> StepToJson(const KerasStep& step, const DTypePolicy& dtype, Names& names) {
  if (const auto* const layer = std::get_if<KerasStepLayer>(&step)) {
    LayerConfig config = layer->config;
    config.name = layer->name;
    return LayerToJson(config, layer->in_channels);
  }
  auto json = ActivationLayerToJson(std::get<Activation>(step), dtype);
  if (!json.has_value()) return std::nullopt;
  Json& name = (*json)["config"]["name"];
  name = names.TakeLike(name.get<std::string>());
  return json;
}

}  // namespace

std::optional<std::string> ToKerasJson(const std::string& name, std::span<const KerasStep> steps) {
  std::optional<Names> names = NamesOfLayers(steps);
  if (!names.has_value()) return std::nullopt;
  const auto& first = std::get<KerasStepLayer>(steps.front());
  const DTypePolicy* dtype = nullptr;  // in which functions get their input
  Json layers = Json::array();
  for (const KerasStep& step : steps) {
    if (const auto* const layer = std::get_if<KerasStepLayer>(&step)) dtype = &layer->config.dtype;
    std::optional<Json> json = StepToJson(step, *dtype, *names);
    if (!json.has_value()) return std::nullopt;
    layers.push_back(*std::move(json));
  }
  Json build_config = BuildConfig(first.config, first.in_channels);
  Json config = {{"name", name},
                 {"trainable", true},
                 {"dtype", ToJson(first.config.dtype)},
                 {"layers", std::move(layers)},
                 {"build_input_shape", build_config["input_shape"]}};
  Json model = Serialized("keras", "Sequential", std::move(config));
  model["build_config"] = std::move(build_config);
  return ToText(model);
}

}  // namespace tconv::server
