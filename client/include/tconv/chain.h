// What the calls for chains of layers take.
#pragma once

#include <tconv/v1/chain.pb.h>
#include <tconv/v1/layer.pb.h>

#include <string>
#include <variant>

namespace tconv {

// One step of a chain: the name of a layer, or a function of its own, as
// keras.layers.Activation, ReLU or Softmax.
using ChainStep = std::variant<std::string, v1::KerasObject>;

}  // namespace tconv
