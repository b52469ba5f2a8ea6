// v1::LayerConfig and LayerConfig, both ways.
#pragma once

#include <tconv/v1/layer.pb.h>

#include "server/base/status.h"
#include "server/layer/layer_config.h"

namespace tconv::server {

// A validated config; what the message leaves out has Keras' defaults.
// INVALID_ARGUMENT with the path of the field.
StatusOr<LayerConfig> LayerConfigFromProto(const v1::LayerConfig& proto);

v1::DataFormat ToProto(DataFormat data_format);

// Every field is present, so that reading it back does not depend on defaults.
v1::LayerConfig ToProto(const LayerConfig& config);

}  // namespace tconv::server
