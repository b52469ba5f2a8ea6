#include "server/store/memory_store.h"

#include <utility>

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

StatusOr<std::shared_ptr<const Weights>> SharedCopyOf(const Weights& weights) {
  TCONV_ASSIGN_OR_RETURN(Weights copy, CopyOf(weights));
  return std::make_shared<const Weights>(std::move(copy));
}

}  // namespace

int64_t MemoryStore::Entry::size_bytes() const {
  return static_cast<int64_t>(sizeof(Entry) + 2 * record.name.size()) +
         (weights == nullptr ? 0 : weights->size_bytes());
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

StatusOr<LayerIndex> MemoryStore::ReadIndex() {
  const MutexLock lock(mutex_);
  LayerIndex index;
  for (const auto& [name, entry] : layers_) index.layers.push_back(entry.record);
  return index;
}

Status MemoryStore::Create(const LayerRecord& record, const Weights* weights) {
  Entry entry{.record = record, .weights = nullptr};
  if (weights != nullptr) {
    TCONV_ASSIGN_OR_RETURN(entry.weights, SharedCopyOf(*weights));
  }
  const MutexLock lock(mutex_);
  if (layers_.contains(record.name)) return LayerExists(record.name);
  TCONV_RETURN_IF_ERROR(Charge(entry.size_bytes(), 0));
  layers_.emplace(record.name, std::move(entry));
  return OkStatus();
}

Status MemoryStore::PutWeights(const std::string& name, const Weights& weights,
                               int64_t expected_version) {
  TCONV_ASSIGN_OR_RETURN(std::shared_ptr<const Weights> copy, SharedCopyOf(weights));
  const MutexLock lock(mutex_);
  const auto it = layers_.find(name);
  if (it == layers_.end()) return LayerNotFound(name);
  Entry& entry = it->second;
  if (entry.record.weights_version != expected_version) {
    return VersionMoved(name, expected_version, entry.record.weights_version);
  }
  TCONV_RETURN_IF_ERROR(
      Charge(copy->size_bytes(), entry.weights == nullptr ? 0 : entry.weights->size_bytes()));
  entry.record.in_channels = weights.in_channels();
  entry.record.weights_version = weights.version;
  entry.weights = std::move(copy);
  return OkStatus();
}

StatusOr<Weights> MemoryStore::ReadWeights(const std::string& name) {
  std::shared_ptr<const Weights> weights;
  {
    const MutexLock lock(mutex_);
    const auto it = layers_.find(name);
    if (it == layers_.end()) return LayerNotFound(name);
    weights = it->second.weights;
  }
  if (weights == nullptr) return LayerNotBuilt(name);
  return CopyOf(*weights);
}

Status MemoryStore::Delete(const std::string& name) {
  const MutexLock lock(mutex_);
  const auto it = layers_.find(name);
  if (it == layers_.end()) return LayerNotFound(name);
  held_bytes_ -= it->second.size_bytes();
  layers_.erase(it);
  return OkStatus();
}

}  // namespace tconv::server
