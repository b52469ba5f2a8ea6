// The JSON in which Keras serializes layers, versions 2 and 3.
#pragma once

#include <tconv/v1/layer.pb.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "server/base/status.h"
#include "server/layer/geometry.h"
#include "server/layer/layer_config.h"

namespace tconv::server {

// A layer as it stands in JSON; the config is parsed, not yet validated.
struct KerasLayer {
  v1::LayerConfig config;
  // Input shape that the layer was built for; empty when the text has none.
  PartialShape build_shape;
};

// `text` is a layer's get_config(), its serialize_keras_object(), or one layer
// out of a model's config.json. Bounded in size and depth. INVALID_ARGUMENT with
// the path of the key below the layer's config; without a field when the text is
// not JSON, or is not one layer.
StatusOr<KerasLayer> ParseKerasJson(std::string_view text);

// The serialized Keras 3 layer, with a build_config when `in_channels` > 0;
// nothing when Keras has no form for the activation.
std::optional<std::string> ToKerasJson(const LayerConfig& config, int64_t in_channels);

// A layer or a function as a step of a Sequential.
struct KerasStepLayer {
  std::string name;  // in the place of the config's
  LayerConfig config;
  int64_t in_channels = 0;  // > 0
};
using KerasStep = std::variant<KerasStepLayer, Activation>;

// The serialized Keras 3 Sequential; nothing when Keras has no form for a step, or when
// a layer occurs twice. REQUIRES: the first step is a layer.
std::optional<std::string> ToKerasJson(const std::string& name, std::span<const KerasStep> steps);

}  // namespace tconv::server
