#include "server/store/chain_record.h"

#include <algorithm>

namespace tconv::server {

std::vector<LayerKey> LayersOf(const ChainRecord& chain) {
  std::vector<LayerKey> layers;
  for (const ChainStep& step : chain.steps) {
    if (const auto* const layer = std::get_if<LayerKey>(&step)) layers.push_back(*layer);
  }
  return layers;
}

bool HasLayer(const ChainRecord& chain, int64_t layer_id) {
  const std::vector<LayerKey> layers = LayersOf(chain);
  return std::ranges::find(layers, layer_id, &LayerKey::id) != layers.end();
}

}  // namespace tconv::server
