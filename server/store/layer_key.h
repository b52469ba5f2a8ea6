// Which layer, or which chain, it is.
#pragma once

#include <cstdint>
#include <string>

namespace tconv::server {

// One layer of the store, told from every other that ever has its name: ids grow
// from layer to layer and are never used again. Chains have ids of the same row.
struct LayerKey {
  std::string name;
  int64_t id = 0;

  friend bool operator==(const LayerKey&, const LayerKey&) = default;
};

}  // namespace tconv::server
