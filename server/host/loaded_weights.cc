#include "server/host/loaded_weights.h"

#include <utility>

namespace tconv::server {

StatusOr<std::shared_ptr<const Weights>> LoadedWeights::Get(Layer& layer, int64_t version) {
  return loaded_.GetOrBuild({layer.id(), version}, [&]() -> StatusOr<Loaded> {
    // Holding the layer still keeps the name from meaning another layer, and
    // its weights from becoming another version, while they are read.
    MutexLock lock(layer.change_mutex());
    if (layer.is_deleted() || layer.snapshot().weights_version != version) {
      return MakeError(StatusCode::kAborted, "layer \"{}\" is no longer at version {}",
                       layer.name(), version);
    }
    TCONV_ASSIGN_OR_RETURN(Weights weights, store_.ReadWeights(layer.key()));
    const int64_t bytes = weights.size_bytes();
    return Loaded{std::make_shared<const Weights>(std::move(weights)), bytes};
  });
}

void LoadedWeights::Put(const Layer& layer, std::shared_ptr<const Weights> weights) {
  const Key key{layer.id(), weights->version};
  const int64_t bytes = weights->size_bytes();
  // Cannot fail: there is nothing to read.
  (void)loaded_.GetOrBuild(key, [&]() -> StatusOr<Loaded> {
    return Loaded{std::move(weights), bytes};
  });
}

void LoadedWeights::ForgetAllBut(const Layer& layer, int64_t version) {
  loaded_.EraseIf(
      [&](const Key& key) { return key.layer_id == layer.id() && key.version != version; });
}

std::vector<std::shared_ptr<const Weights>> LoadedWeights::Find(const Layer& layer) const {
  return loaded_.FindIf([&](const Key& key) { return key.layer_id == layer.id(); });
}

}  // namespace tconv::server
