#include "formats/steps.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "formats/status.h"
#include "formats/strict_json.h"

namespace tconv::formats {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kActivations[] = {"ReLU", "LeakyReLU", "ELU", "Softmax"};
constexpr std::string_view kNoSteps[] = {"InputLayer",       "Dropout",
                                         "SpatialDropout1D", "SpatialDropout2D",
                                         "SpatialDropout3D", "AlphaDropout",
                                         "GaussianDropout",  "GaussianNoise",
                                         "Identity",         "ActivityRegularization"};

template <size_t kSize>
bool Has(const std::string_view (&names)[kSize], std::string_view name) {
  return std::count(std::begin(names), std::end(names), name) > 0;
}

// The name of a dtype policy, in each of the forms that Keras writes.
std::string PolicyName(const Json& config) {
  const auto dtype = config.find("dtype");
  if (dtype == config.end() || dtype->is_null()) return "float32";
  if (dtype->is_string()) return dtype->get<std::string>();
  return dtype->is_object() ? TextAt(dtype->value("config", Json::object()), "name") : "";
}

// The type that a layer computes in.
std::string ComputeDType(const Json& config) {
  constexpr std::string_view kMixed = "mixed_";
  std::string name = PolicyName(config);
  if (name.starts_with(kMixed)) name.erase(0, kMixed.size());
  return name;
}

ActivationStep FromLayer(const std::string& class_name, const Json& config) {
  ActivationStep step{.name = class_name, .arguments = Json::object()};
  for (const auto& [key, value] : config.items()) {
    const bool is_of_every_layer = key == "name" || key == "trainable" || key == "dtype" ||
                                   key == "batch_input_shape" || key == "batch_shape";
    if (!is_of_every_layer) step.arguments[key] = value;
  }
  return step;
}

// What stands for a function: its name, or a serialized layer or function.
absl::StatusOr<ActivationStep> FromFunction(const Json& function) {
  if (function.is_string()) return ActivationStep{function.get<std::string>(), Json::object()};
  const std::string class_name = TextAt(function, "class_name");
  const Json config = function.is_object() ? function.value("config", Json()) : Json();
  if (class_name == "function" && config.is_string()) return FromFunction(config);
  if (config.is_object() && class_name == "Activation") {
    return FromFunction(config.value("activation", Json()));
  }
  if (config.is_object() && Has(kActivations, class_name)) return FromLayer(class_name, config);
  return Malformed("expected an activation, got {}", Excerpt(function));
}

class Flattening {
 public:
  absl::Status TakeSequential(const Json& model) {
    if (TextAt(model, "class_name") != "Sequential") {
      return Malformed("expected a Sequential, got {}", Excerpt(model.value("class_name", Json())));
    }
    for (const Json& layer : *LayersOf(model)) {
      if (const absl::Status taken = TakeLayer(layer); !taken.ok()) {
        return At(TextAt(layer.value("config", Json::object()), "name"), taken);
      }
    }
    return absl::OkStatus();
  }

  std::vector<Step> TakeSteps() { return std::move(steps_); }

 private:
  absl::Status TakeLayer(const Json& layer) {
    const std::string class_name = TextAt(layer, "class_name");
    const Json config = layer.value("config", Json());
    if (LayersOf(layer) != nullptr) return TakeSequential(layer);
    if (Has(kNoSteps, class_name)) return absl::OkStatus();
    if (IsTransposedConvolution(class_name)) {
      dtype_ = ComputeDType(config);
      steps_.emplace_back(layers_++);
      return absl::OkStatus();
    }
    if (class_name == "Activation" || Has(kActivations, class_name)) {
      return TakeActivation(layer, config);
    }
    return Malformed("a {} is neither a transposed convolution nor an activation", class_name);
  }

  absl::Status TakeActivation(const Json& layer, const Json& config) {
    if (!dtype_) return Malformed("expected a transposed convolution before an activation");
    // A chain computes it in the type of what comes.
    if (ComputeDType(config) != *dtype_) {
      return Malformed("expected an activation in {}, as the layer before it, got {}", *dtype_,
                       ComputeDType(config));
    }
    TCONV_FORMATS_ASSIGN_OR_RETURN(ActivationStep step, FromFunction(layer));
    if (step.name != "linear") steps_.emplace_back(std::move(step));
    return absl::OkStatus();
  }

  std::vector<Step> steps_;
  size_t layers_ = 0;
  std::optional<std::string> dtype_;  // of the layer before
};

}  // namespace

absl::StatusOr<std::vector<Step>> StepsOf(const ModelEntry& model) {
  if (!model.json.is_object()) return Malformed("expected a Sequential, got layers without one");
  Flattening flattening;
  TCONV_FORMATS_RETURN_IF_ERROR(flattening.TakeSequential(model.json));
  return flattening.TakeSteps();
}

}  // namespace tconv::formats
