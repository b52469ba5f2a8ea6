// Model: what a model file says, as values.
#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "formats/array.h"

namespace tconv::formats {

// A transposed-convolution layer with its weights, which have the shapes that its
// configuration asks for.
struct Layer {
  // As in the model; where nested models have a layer of the same name, with theirs in
  // front: "decoder.up1".
  std::string name = {};
  std::string class_name = {};
  // The serialized layer, in the form of Keras 2 or 3.
  std::string keras_json = {};
  Array kernel = {};               // [kernel_size..., filters, channels]
  std::optional<Array> bias = {};  // [filters]
};

// A function as a step of its own: the name of a function or of one of Keras' layers
// of activation, and its arguments.
struct ActivationStep {
  std::string name = {};
  nlohmann::json arguments = {};  // an object
};

// A layer stands as its index in Model::layers.
using Step = std::variant<size_t, ActivationStep>;

struct Model {
  std::string name = {};  // empty when the file has layers without a model
  std::vector<Layer> layers = {};
  // Layers of other kinds, "dense (Dense)", and nested models, which are looked into.
  std::vector<std::string> passed_over = {};
  // What the whole model does at inference, in order, when it is a Sequential of
  // transposed convolutions and activations; else why it is not.
  absl::StatusOr<std::vector<Step>> steps = std::vector<Step>();
};

}  // namespace tconv::formats
