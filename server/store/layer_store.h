// How layers survive.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/base/status.h"
#include "server/layer/layer_config.h"
#include "server/layer/weights.h"

namespace tconv::server {

// What the store keeps of a layer, without its weights.
struct LayerRecord {
  std::string name;
  LayerConfig config;
  int64_t in_channels = 0;      // 0: not built
  int64_t weights_version = 0;  // 0: not built
};

// A layer whose stored description is unreadable.
struct DamagedLayer {
  std::string name;
  Status error;  // DATA_LOSS, names the layer
};

// Both in the order of the names.
struct LayerIndex {
  std::vector<LayerRecord> layers;
  std::vector<DamagedLayer> damaged;
};

// Layers by name. Every change is one transaction, durable when the call
// returns; a crash leaves either all or nothing of it. Thread-safe.
//
// Damage stays with the layer it hit: the others are served. A damaged layer
// keeps its name until Delete() removes it; PutWeights() heals one that lost
// nothing but weights.
//
// UNAVAILABLE: the store cannot be read or written now (disk full, I/O error);
// nothing has changed. DATA_LOSS: stored bytes are damaged. RESOURCE_EXHAUSTED:
// the store has reached its bound, or there is no memory.
class LayerStore {
 public:
  virtual ~LayerStore() = default;

  // Every layer, without its weights.
  virtual StatusOr<LayerIndex> ReadIndex() = 0;

  // `weights` is null for a layer that is not built; else
  // record.weights_version == weights->version. ALREADY_EXISTS.
  virtual Status Create(const LayerRecord& record, const Weights* weights) = 0;

  // Sets weights and version of an existing layer, and in_channels from the
  // weights. NOT_FOUND; ABORTED when the stored version is not
  // `expected_version`, with the stored one in the message.
  virtual Status PutWeights(const std::string& name, const Weights& weights,
                            int64_t expected_version) = 0;

  // NOT_FOUND: no such layer, or not built. DATA_LOSS: the digest differs.
  virtual StatusOr<Weights> ReadWeights(const std::string& name) = 0;

  // NOT_FOUND.
  virtual Status Delete(const std::string& name) = 0;
};

}  // namespace tconv::server
