#include <string>
#include <utility>
#include <vector>

#include "server/layer/object_spec.h"
#include "server/wire/keras_json.h"
#include "server/wire/keras_layer_writer.h"
#include "server/wire/keras_object_writer.h"

namespace tconv::server {
namespace {

using Json = OrderedJson;

template <typename T>
Json ToJson(std::string_view module, const std::optional<T>& object) {
  return object.has_value() ? ObjectToJson(module, object->spec()) : Json(nullptr);
}

// Layers of Keras that take the arguments of a function.
struct ActivationLayer {
  std::string_view function;
  std::string_view class_name;
  std::string_view name;  // as Keras generates it
};
constexpr ActivationLayer kActivationLayers[] = {
    {"elu", "ELU", "elu"},
    {"leaky_relu", "LeakyReLU", "leaky_re_lu"},
    {"relu", "ReLU", "re_lu"},
    {"softmax", "Softmax", "softmax"},
};

bool IsSaidByName(const Activation& activation) {
  const auto by_name = Activation::Make({.name = activation.spec().name, .arguments = {}});
  return by_name.ok() && *by_name == activation;
}

// The layer that takes the arguments of a function, if there is one.
std::optional<Json> LayerWithArguments(const ObjectSpec& spec, const DTypePolicy& dtype) {
  for (const ActivationLayer& layer : kActivationLayers) {
    if (layer.function != spec.name) continue;
    // Layers refuse some arguments that functions take.
    const ObjectSpec layer_spec{std::string(layer.class_name), spec.arguments};
    if (!Activation::Make(layer_spec).ok()) return std::nullopt;
    Json arguments = {{"name", layer.name}, {"trainable", true}, {"dtype", ToJson(dtype)}};
    for (const auto& [name, value] : spec.arguments) arguments[name] = ArgumentToJson(name, value);
    return Serialized("keras.layers", layer.class_name, std::move(arguments));
  }
  return std::nullopt;
}

// The function's name when its arguments are the defaults, else that layer.
std::optional<Json> ActivationToJson(const LayerConfig& config) {
  if (IsSaidByName(config.activation)) return Json(config.activation.spec().name);
  return LayerWithArguments(config.activation.spec(), config.dtype);
}

}  // namespace

Json ToJson(const DTypePolicy& policy) {
  return Serialized("keras", "DTypePolicy", {{"name", policy.name}});
}

Json BuildConfig(const LayerConfig& config, int64_t in_channels) {
  std::vector<Json> shape(static_cast<size_t>(config.tensor_rank()));
  shape[static_cast<size_t>(config.channel_axis())] = in_channels;
  return {{"input_shape", shape}};
}

std::optional<Json> LayerToJson(const LayerConfig& config, int64_t in_channels) {
  std::optional<Json> activation = ActivationToJson(config);
  if (!activation.has_value()) return std::nullopt;

  Json json;
  json["name"] = config.name.empty() ? Json(nullptr) : Json(config.name);
  json["trainable"] = config.trainable;
  json["dtype"] = ToJson(config.dtype);
  json["filters"] = config.filters;
  json["kernel_size"] = config.kernel_size;
  json["strides"] = config.strides;
  json["padding"] = config.padding == Padding::kSame ? "same" : "valid";
  json["output_padding"] =
      config.output_padding.has_value() ? Json(*config.output_padding) : Json(nullptr);
  json["data_format"] =
      config.data_format == DataFormat::kChannelsFirst ? "channels_first" : "channels_last";
  json["dilation_rate"] = config.dilation_rate;
  json["activation"] = *std::move(activation);
  json["use_bias"] = config.use_bias;
  json["kernel_initializer"] = ObjectToJson("keras.initializers", config.kernel_initializer.spec());
  json["bias_initializer"] = ObjectToJson("keras.initializers", config.bias_initializer.spec());
  json["kernel_regularizer"] = ToJson("keras.regularizers", config.kernel_regularizer);
  json["bias_regularizer"] = ToJson("keras.regularizers", config.bias_regularizer);
  json["activity_regularizer"] = ToJson("keras.regularizers", config.activity_regularizer);
  json["kernel_constraint"] = ToJson("keras.constraints", config.kernel_constraint);
  json["bias_constraint"] = ToJson("keras.constraints", config.bias_constraint);

  Json layer = Serialized("keras.layers", ClassName(config.spatial_rank), std::move(json));
  if (in_channels > 0) layer["build_config"] = BuildConfig(config, in_channels);
  return layer;
}

std::optional<Json> ActivationLayerToJson(const Activation& activation, const DTypePolicy& dtype) {
  const ObjectSpec& spec = activation.spec();
  if (!IsSaidByName(activation)) return LayerWithArguments(spec, dtype);
  return Serialized("keras.layers", "Activation",
                    {{"name", "activation"},
                     {"trainable", true},
                     {"dtype", ToJson(dtype)},
                     {"activation", spec.name}});
}

std::optional<std::string> ToKerasJson(const LayerConfig& config, int64_t in_channels) {
  const std::optional<Json> layer = LayerToJson(config, in_channels);
  return layer.has_value() ? std::optional(ToText(*layer)) : std::nullopt;
}

}  // namespace tconv::server
