// Writing layers in the JSON of Keras 3. Used by the sources of this room alone.
#pragma once

#include <cstdint>
#include <optional>

#include "server/layer/activation.h"
#include "server/layer/dtype_policy.h"
#include "server/layer/layer_config.h"
#include "server/wire/keras_object_writer.h"

namespace tconv::server {

OrderedJson ToJson(const DTypePolicy& policy);
// Of a layer that is built for so many channels.
OrderedJson BuildConfig(const LayerConfig& config, int64_t in_channels);

// As ToKerasJson().
std::optional<OrderedJson> LayerToJson(const LayerConfig& config, int64_t in_channels);
// A function as a layer of its own; nothing when Keras has no form for it.
std::optional<OrderedJson> ActivationLayerToJson(const Activation& activation,
                                                 const DTypePolicy& dtype);

}  // namespace tconv::server
