// A store for tests and throw-away servers: nothing survives the process.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "server/base/mutex.h"
#include "server/store/layer_store.h"

namespace tconv::server {

// Several servers of one process may share it. Holds its own copy of the tensors.
// What would take more than `max_bytes`, of tensors and a little for each layer and
// chain, is refused with RESOURCE_EXHAUSTED.
class MemoryStore final : public LayerStore {
 public:
  explicit MemoryStore(int64_t max_bytes) : max_bytes_(max_bytes) {}

  StatusOr<LayerIndex> ReadIndex() override;
  StatusOr<int64_t> Create(const LayerRecord& record, const Weights* weights) override;
  Status Update(const LayerKey& layer, const LayerChange& change) override;
  StatusOr<StoredTraining> ReadTraining(const LayerKey& layer) override;
  StatusOr<Weights> ReadWeights(const LayerKey& layer) override;
  Status Delete(const std::string& name) override;
  StatusOr<int64_t> CreateChain(const ChainRecord& record) override;
  Status DeleteChain(const std::string& name) override;
  std::unique_ptr<ChangeFeed> Follow(int64_t revision) override;

 private:
  class Feed;

  struct Entry {
    LayerRecord record;
    std::shared_ptr<const Weights> weights;         // null: not built
    std::shared_ptr<const TrainingState> training;  // null: never trained
    int64_t revision = 0;                           // of the last change

    int64_t size_bytes() const;
  };

  // The error of creating what has a name that is taken.
  Status CheckNameIsFree(const std::string& name) const TCONV_REQUIRES(mutex_);
  // Null: no layer has this id.
  Entry* Find(const LayerKey& layer) TCONV_REQUIRES(mutex_);
  // The revision of a change that has just been made; whoever follows is told.
  int64_t NextRevision() TCONV_REQUIRES(mutex_);
  StoreChanges ChangesSince(int64_t revision) const TCONV_REQUIRES(mutex_);
  // Accounts for `added` bytes in the place of `removed`.
  Status Charge(int64_t added, int64_t removed) TCONV_REQUIRES(mutex_);

  const int64_t max_bytes_;
  Mutex mutex_;
  std::map<std::string, Entry> layers_ TCONV_GUARDED_BY(mutex_);
  std::map<std::string, ChainRecord> chains_ TCONV_GUARDED_BY(mutex_);
  int64_t held_bytes_ TCONV_GUARDED_BY(mutex_) = 0;
  // Layers and chains have the revision that created them for an id.
  int64_t revision_ TCONV_GUARDED_BY(mutex_) = 0;
  int64_t removal_revision_ TCONV_GUARDED_BY(mutex_) = 0;  // of the last deletion
  CondVar changed_;
};

}  // namespace tconv::server
