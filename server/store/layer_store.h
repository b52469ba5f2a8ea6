// How layers survive.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/base/status.h"
#include "server/layer/layer_config.h"
#include "server/layer/optimizer.h"
#include "server/layer/weights.h"
#include "server/store/chain_record.h"
#include "server/store/layer_key.h"
#include "server/store/training_state.h"

namespace tconv::server {

// What a step of training is based on.
struct StepBase {
  int64_t weights_version = 0;
  int64_t settings_version = 0;
};

// What the store keeps of a layer, without its weights.
struct LayerRecord {
  std::string name;
  LayerConfig config;
  int64_t in_channels = 0;      // 0: not built
  int64_t weights_version = 0;  // 0: not built
  // These and config.trainable change together.
  std::optional<Optimizer> optimizer = {};
  int64_t settings_version = 0;  // 0: as created
  int64_t id = 0;                // given by the store

  LayerKey key() const { return {name, id}; }
  StepBase base() const { return {weights_version, settings_version}; }
};

// What a name of the store stands for.
enum class EntryKind : uint8_t { kLayer, kChain };

// A layer, or a chain, whose stored description is unreadable.
struct DamagedLayer {
  std::string name;
  int64_t id = 0;
  Status error;  // DATA_LOSS, names the layer
  EntryKind kind = EntryKind::kLayer;
};

struct LayerIndex {
  std::vector<LayerRecord> layers;    // in the order of the names
  std::vector<ChainRecord> chains;    // likewise
  std::vector<DamagedLayer> damaged;  // likewise
  // The state of a shared store that this is; every change makes a greater one.
  // 0 for a store that cannot be followed.
  int64_t revision = 0;
};

// What became of a shared store since an earlier revision.
struct StoreChanges {
  int64_t revision = 0;  // the state that these lead to
  // Layers and chains that were created or changed, as they are at that revision.
  LayerIndex changed;
  // Present when some may have been deleted: the ids of all layers and chains at that
  // revision, ascending. An id up to `revision` that is not among them is gone
  // for good.
  std::optional<std::vector<int64_t>> living;
};

// Tells what others, and the caller's own writes, changed in a shared store, in
// order. One thread calls Next(). Must not outlive its store.
class ChangeFeed {
 public:
  virtual ~ChangeFeed() = default;

  // The changes since those that were told last. Waits at most `patience` for
  // some; then there are none, and the revision is the last one told.
  // UNAVAILABLE: the store cannot be asked now, which is told without waiting.
  // The next call tries again, and nothing is left out.
  //
  // A store that was put back to an earlier state, as from a backup, tells all
  // that it has: `revision` is smaller then, and `living` is present.
  virtual StatusOr<StoreChanges> Next(std::chrono::milliseconds patience) = 0;

  // Lets the Next() that waits, else the next one, look at once and return.
  // Thread-safe.
  virtual void Interrupt() = 0;
};

// A change of a layer that exists.
struct LayerChange {
  // At which the stored layer has to be, if that matters.
  std::optional<int64_t> weights_version = {};
  std::optional<int64_t> settings_version = {};
  // What takes the place of what the layer has; null: that stays.
  const Weights* weights = nullptr;
  const LayerRecord* settings = nullptr;  // config.trainable, optimizer, settings_version
  const TrainingState* training = nullptr;

  // ABORTED when the stored layer is at another version, which the message tells.
  Status CheckBase(const LayerRecord& stored) const;
  // To what the record tells of all this.
  void ApplyTo(LayerRecord& record) const;
};

// A layer and how far its training is, read as one state.
struct StoredTraining {
  LayerRecord layer;
  TrainingState state;
};

// Layers, and chains of them, by name: a name is that of one or the other. Every
// change is one transaction, durable when the call returns; a crash leaves either
// all or nothing of it. Thread-safe.
//
// Damage stays with the layer or chain it hit: the others are served. What is damaged
// keeps its name until it is deleted; PutWeights() heals a layer that lost nothing but
// weights. A damaged chain keeps no layer from being deleted.
//
// UNAVAILABLE: the store cannot be read or written now (disk full, I/O error,
// no connection); nothing has changed, unless the message says that the outcome
// is unknown. DATA_LOSS: stored bytes are damaged. RESOURCE_EXHAUSTED: the store
// has reached its bound, or there is no memory.
class LayerStore {
 public:
  virtual ~LayerStore() = default;

  // Every layer, without its weights, and every chain.
  virtual StatusOr<LayerIndex> ReadIndex() = 0;

  // The id of the new layer; the one of `record` is ignored. `weights` is null
  // for a layer that is not built; else record.weights_version ==
  // weights->version. ALREADY_EXISTS.
  virtual StatusOr<int64_t> Create(const LayerRecord& record, const Weights* weights) = 0;

  // Changes an existing layer. NOT_FOUND when no layer has this id, even if another
  // one has its name by now; ABORTED as LayerChange::CheckBase().
  virtual Status Update(const LayerKey& layer, const LayerChange& change) = 0;

  // Update() of weights and version, and in_channels from the weights. The state of
  // the training stays.
  Status PutWeights(const LayerKey& layer, const Weights& weights, int64_t expected_version);
  // Of the settings of settings.key(). From now on `state`, which belongs to weights of
  // `weights_version` if it tells, is that of the training; null: that stays.
  Status PutSettings(const LayerRecord& settings, const TrainingState* state,
                     int64_t expected_version,
                     std::optional<int64_t> weights_version = std::nullopt);
  // Of the weights and the state of the training that led there.
  Status PutStep(const LayerKey& layer, const Weights& weights, const TrainingState& state,
                 const StepBase& expected);

  // How far the training is: zeros for a layer that was never trained. NOT_FOUND: no
  // layer has this id. DATA_LOSS: the digest differs; PutSettings() with a state
  // heals that.
  virtual StatusOr<StoredTraining> ReadTraining(const LayerKey& layer) = 0;

  // The weights as they are now, which may be newer than any index that was
  // read. NOT_FOUND: no layer has this id, or it is not built. DATA_LOSS: the
  // digest differs.
  virtual StatusOr<Weights> ReadWeights(const LayerKey& layer) = 0;

  // Deletes whichever layer has the name. NOT_FOUND. FAILED_PRECONDITION while a chain
  // has the layer, with the name of the chain.
  virtual Status Delete(const std::string& name) = 0;

  // The id of the new chain; the one of `record` is ignored. ALREADY_EXISTS. NOT_FOUND
  // when a layer of it is not there, even if another one has its name by now.
  virtual StatusOr<int64_t> CreateChain(const ChainRecord& record) = 0;
  // Deletes whichever chain has the name; its layers stay. NOT_FOUND.
  virtual Status DeleteChain(const std::string& name) = 0;

  // Tells what changes after `revision`, which ReadIndex() returned. Null for a
  // store that this process owns alone: nobody else changes it.
  virtual std::unique_ptr<ChangeFeed> Follow(int64_t revision) = 0;
};

}  // namespace tconv::server
