// The JSON in which Keras describes models, and where their weights are then.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "formats/array.h"

namespace tconv::formats {

// A transposed convolution as it stands in the JSON of a model.
struct LayerEntry {
  std::string name = {};     // its own
  std::string address = {};  // as Layer::name
  std::string class_name = {};
  nlohmann::json json = {};  // the serialized layer
  // Of its weights, [kernel_size..., filters, channels]: the channels are -1.
  Shape kernel_shape = {};
  bool use_bias = true;
  // Of model.weights.h5: "layers/sequential/layers/conv2d_transpose_1".
  std::string weights_group = {};
  // The layer of the outermost model that it is or is in: the group of a legacy file.
  std::string outermost = {};
  bool is_nested = false;
};

struct ModelEntry {
  std::string name = {};     // empty for layers without a model
  nlohmann::json json = {};  // of the model, or a list of layers
  std::vector<LayerEntry> layers = {};
  std::vector<std::string> passed_over = {};  // as in Model
};

// `text` is the config.json of a model, or one or a list of layers, each as
// get_config() or serialized. INVALID_ARGUMENT: neither, or no transposed convolution
// in it.
absl::StatusOr<ModelEntry> ParseModelJson(std::string_view text);

// The layers of a model's JSON in their order; null when it is not one.
const nlohmann::json* LayersOf(const nlohmann::json& model);

// "Conv2DTranspose" and its like.
bool IsTransposedConvolution(std::string_view class_name);

// As Keras names groups and layers: "Conv2DTranspose" is "conv2d_transpose".
std::string ToSnakeCase(std::string_view class_name);

// The text under `key` of an object; empty when there is none.
std::string TextAt(const nlohmann::json& object, const char* key);

}  // namespace tconv::formats
