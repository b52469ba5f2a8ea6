#include "server/store/memory_store.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "server/store/store_errors.h"

namespace tconv::server {
namespace {

StatusOr<Weights> CopyOf(const Weights& weights) {
  Weights copy;
  copy.version = weights.version;
  TCONV_ASSIGN_OR_RETURN(copy.kernel,
                         Tensor::Converted(weights.kernel.view(), weights.kernel.dtype()));
  if (weights.bias.has_value()) {
    TCONV_ASSIGN_OR_RETURN(copy.bias,
                           Tensor::Converted(weights.bias->view(), weights.bias->dtype()));
  }
  return copy;
}

// Null for null. T is Weights or TrainingState.
template <typename T>
StatusOr<std::shared_ptr<const T>> SharedCopyOf(const T* value) {
  if (value == nullptr) return nullptr;
  TCONV_ASSIGN_OR_RETURN(T copy, CopyOf(*value));
  return std::make_shared<const T>(std::move(copy));
}

int64_t SizeOf(const ChainRecord& chain) {
  int64_t bytes = static_cast<int64_t>(sizeof(ChainRecord) + 2 * chain.name.size());
  for (const ChainStep& step : chain.steps) {
    const auto* const layer = std::get_if<LayerKey>(&step);
    bytes += static_cast<int64_t>(sizeof(ChainStep) + (layer == nullptr ? 0 : layer->name.size()));
  }
  return bytes;
}

}  // namespace

int64_t MemoryStore::Entry::size_bytes() const {
  return static_cast<int64_t>(sizeof(Entry) + 2 * record.name.size()) +
         (weights == nullptr ? 0 : weights->size_bytes()) +
         (training == nullptr ? 0 : training->size_bytes());
}

Status MemoryStore::Charge(int64_t added, int64_t removed) {
  const int64_t held = held_bytes_ - removed + added;
  if (held > max_bytes_) {
    return MakeError(StatusCode::kResourceExhausted,
                     "store: expected at most {} bytes in the memory store, this needs {}",
                     max_bytes_, held);
  }
  held_bytes_ = held;
  return OkStatus();
}

MemoryStore::Entry* MemoryStore::Find(const LayerKey& layer) {
  const auto it = layers_.find(layer.name);
  return it == layers_.end() || it->second.record.id != layer.id ? nullptr : &it->second;
}

int64_t MemoryStore::NextRevision() {
  changed_.NotifyAll();
  return ++revision_;
}

StatusOr<LayerIndex> MemoryStore::ReadIndex() {
  const MutexLock lock(mutex_);
  LayerIndex index;
  index.revision = revision_;
  for (const auto& [name, entry] : layers_) index.layers.push_back(entry.record);
  for (const auto& [name, chain] : chains_) index.chains.push_back(chain);
  return index;
}

Status MemoryStore::CheckNameIsFree(const std::string& name) const {
  if (layers_.contains(name)) return LayerExists(name);
  return chains_.contains(name) ? ChainExists(name) : OkStatus();
}

StatusOr<int64_t> MemoryStore::Create(const LayerRecord& record, const Weights* weights) {
  Entry entry{.record = record, .weights = nullptr, .training = nullptr};
  TCONV_ASSIGN_OR_RETURN(entry.weights, SharedCopyOf(weights));
  const MutexLock lock(mutex_);
  TCONV_RETURN_IF_ERROR(CheckNameIsFree(record.name));
  TCONV_RETURN_IF_ERROR(Charge(entry.size_bytes(), 0));
  entry.revision = NextRevision();
  entry.record.id = entry.revision;
  return layers_.emplace(record.name, std::move(entry)).first->second.record.id;
}

Status MemoryStore::Update(const LayerKey& layer, const LayerChange& change) {
  TCONV_ASSIGN_OR_RETURN(std::shared_ptr<const Weights> weights, SharedCopyOf(change.weights));
  TCONV_ASSIGN_OR_RETURN(std::shared_ptr<const TrainingState> training,
                         SharedCopyOf(change.training));
  const MutexLock lock(mutex_);
  Entry* const entry = Find(layer);
  if (entry == nullptr) return LayerNotFound(layer.name);
  TCONV_RETURN_IF_ERROR(change.CheckBase(entry->record));
  Entry next = *entry;
  change.ApplyTo(next.record);
  if (weights != nullptr) next.weights = std::move(weights);
  if (training != nullptr) next.training = std::move(training);
  TCONV_RETURN_IF_ERROR(Charge(next.size_bytes(), entry->size_bytes()));
  next.revision = NextRevision();
  *entry = std::move(next);
  return OkStatus();
}

StatusOr<StoredTraining> MemoryStore::ReadTraining(const LayerKey& layer) {
  StoredTraining stored;
  std::shared_ptr<const TrainingState> training;
  {
    const MutexLock lock(mutex_);
    const Entry* const entry = Find(layer);
    if (entry == nullptr) return LayerNotFound(layer.name);
    stored.layer = entry->record;
    training = entry->training;
  }
  if (training != nullptr) {
    TCONV_ASSIGN_OR_RETURN(stored.state, CopyOf(*training));
  }
  return stored;
}

StatusOr<Weights> MemoryStore::ReadWeights(const LayerKey& layer) {
  std::shared_ptr<const Weights> weights;
  {
    const MutexLock lock(mutex_);
    const Entry* const entry = Find(layer);
    if (entry == nullptr) return LayerNotFound(layer.name);
    weights = entry->weights;
  }
  if (weights == nullptr) return LayerNotBuilt(layer.name);
  return CopyOf(*weights);
}

Status MemoryStore::Delete(const std::string& name) {
  const MutexLock lock(mutex_);
  const auto it = layers_.find(name);
  if (it == layers_.end()) return LayerNotFound(name);
  for (const auto& [chain_name, chain] : chains_) {
    if (HasLayer(chain, it->second.record.id)) return ChainHasLayer(chain_name, name);
  }
  held_bytes_ -= it->second.size_bytes();
  layers_.erase(it);
  removal_revision_ = NextRevision();
  return OkStatus();
}

StatusOr<int64_t> MemoryStore::CreateChain(const ChainRecord& record) {
  const MutexLock lock(mutex_);
  TCONV_RETURN_IF_ERROR(CheckNameIsFree(record.name));
  for (const LayerKey& layer : LayersOf(record)) {
    if (Find(layer) == nullptr) return LayerNotFound(layer.name);
  }
  TCONV_RETURN_IF_ERROR(Charge(SizeOf(record), 0));
  ChainRecord& chain = chains_.emplace(record.name, record).first->second;
  chain.id = NextRevision();
  return chain.id;
}

Status MemoryStore::DeleteChain(const std::string& name) {
  const MutexLock lock(mutex_);
  const auto it = chains_.find(name);
  if (it == chains_.end()) return ChainNotFound(name);
  held_bytes_ -= SizeOf(it->second);
  chains_.erase(it);
  removal_revision_ = NextRevision();
  return OkStatus();
}

StoreChanges MemoryStore::ChangesSince(int64_t revision) const {
  StoreChanges changes;
  changes.revision = changes.changed.revision = revision_;
  for (const auto& [name, entry] : layers_) {
    if (entry.revision > revision) changes.changed.layers.push_back(entry.record);
  }
  for (const auto& [name, chain] : chains_) {
    if (chain.id > revision) changes.changed.chains.push_back(chain);
  }
  if (removal_revision_ > revision) {
    std::vector<int64_t>& living = changes.living.emplace();
    for (const auto& [name, entry] : layers_) living.push_back(entry.record.id);
    for (const auto& [name, chain] : chains_) living.push_back(chain.id);
    std::ranges::sort(living);
  }
  return changes;
}

class MemoryStore::Feed final : public ChangeFeed {
 public:
  Feed(MemoryStore& store, int64_t revision) : store_(store), revision_(revision) {}

  StatusOr<StoreChanges> Next(std::chrono::milliseconds patience) override {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    const MutexLock lock(store_.mutex_);
    while (store_.revision_ == revision_ && !is_interrupted_) {
      if (!store_.changed_.WaitUntil(store_.mutex_, deadline)) break;
    }
    is_interrupted_ = false;
    StoreChanges changes = store_.ChangesSince(revision_);
    revision_ = changes.revision;
    return changes;
  }

  void Interrupt() override {
    const MutexLock lock(store_.mutex_);
    is_interrupted_ = true;
    store_.changed_.NotifyAll();
  }

 private:
  MemoryStore& store_;
  int64_t revision_ TCONV_GUARDED_BY(store_.mutex_);
  bool is_interrupted_ TCONV_GUARDED_BY(store_.mutex_) = false;
};

std::unique_ptr<ChangeFeed> MemoryStore::Follow(int64_t revision) {
  return std::make_unique<Feed>(*this, revision);
}

}  // namespace tconv::server
