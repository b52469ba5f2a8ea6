// The weights that are in memory, of all those that the store has.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "server/base/lru_map.h"
#include "server/base/status.h"
#include "server/host/layer.h"
#include "server/layer/weights.h"
#include "server/store/layer_store.h"

namespace tconv::server {

// Bounded in bytes: weights used least recently are forgotten and read again
// when needed. Many callers that need the same weights wait for one read.
// Thread-safe.
class LoadedWeights {
 public:
  // `store` must outlive this. `on_forget` hears of weights that are no longer
  // held here.
  LoadedWeights(LayerStore& store, int64_t capacity_bytes,
                std::function<void(const Weights&)> on_forget)
      : store_(store), loaded_(capacity_bytes, std::move(on_forget)) {}

  // Weights of `layer` at `version`, read from the store unless loaded.
  // ABORTED when the layer is no longer at that version; else as
  // LayerStore::ReadWeights(). Waits for a running change of the layer only
  // when it has to read.
  StatusOr<std::shared_ptr<const Weights>> Get(Layer& layer, int64_t version);

  // The same if they are loaded, else null. Does not count as a use.
  std::shared_ptr<const Weights> Peek(const Layer& layer, int64_t version) const {
    return loaded_.Find({layer.id(), version});
  }

  // Holds weights that were just stored.
  void Put(const Layer& layer, std::shared_ptr<const Weights> weights);

  // Forgets every version of `layer` but `version`; 0: every version.
  void ForgetAllBut(const Layer& layer, int64_t version);

  // The weights of `layer` that are loaded now.
  std::vector<std::shared_ptr<const Weights>> Find(const Layer& layer) const;

 private:
  struct Key {
    int64_t layer_id;
    int64_t version;

    friend bool operator==(const Key&, const Key&) = default;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const {
      return std::hash<uint64_t>()(static_cast<uint64_t>(key.layer_id) * 0x9e3779b97f4a7c15u +
                                   static_cast<uint64_t>(key.version));
    }
  };

  using Map = LruMap<Key, Weights, KeyHash>;
  using Loaded = Map::Built;

  LayerStore& store_;
  Map loaded_;
};

}  // namespace tconv::server
