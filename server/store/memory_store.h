// A store for tests and throw-away servers: nothing survives the process.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "server/base/mutex.h"
#include "server/store/layer_store.h"

namespace tconv::server {

// Holds its own copy of the weights. What would take more than `max_bytes`, of
// weights and a little for each layer, is refused with RESOURCE_EXHAUSTED.
class MemoryStore final : public LayerStore {
 public:
  explicit MemoryStore(int64_t max_bytes) : max_bytes_(max_bytes) {}

  StatusOr<LayerIndex> ReadIndex() override;
  Status Create(const LayerRecord& record, const Weights* weights) override;
  Status PutWeights(const std::string& name, const Weights& weights,
                    int64_t expected_version) override;
  StatusOr<Weights> ReadWeights(const std::string& name) override;
  Status Delete(const std::string& name) override;

 private:
  struct Entry {
    LayerRecord record;
    std::shared_ptr<const Weights> weights;  // null: not built

    int64_t size_bytes() const;
  };

  // Accounts for `added` bytes in the place of `removed`.
  Status Charge(int64_t added, int64_t removed) TCONV_REQUIRES(mutex_);

  const int64_t max_bytes_;
  Mutex mutex_;
  std::map<std::string, Entry> layers_ TCONV_GUARDED_BY(mutex_);
  int64_t held_bytes_ TCONV_GUARDED_BY(mutex_) = 0;
};

}  // namespace tconv::server
