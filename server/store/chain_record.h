// Layers behind each other, as the store keeps them.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "server/layer/activation.h"
#include "server/store/layer_key.h"

namespace tconv::server {

// A layer, or a function of its own.
using ChainStep = std::variant<LayerKey, Activation>;

// A chain never changes. As long as the store has it, it has the layers, too.
struct ChainRecord {
  std::string name;
  std::vector<ChainStep> steps;  // the first is a layer
  int64_t id = 0;                // given by the store

  LayerKey key() const { return {name, id}; }
};

// The layers of a chain, each as often as it is a step.
std::vector<LayerKey> LayersOf(const ChainRecord& chain);
bool HasLayer(const ChainRecord& chain, int64_t layer_id);

}  // namespace tconv::server
