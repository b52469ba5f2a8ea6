// The chains of a catalog.
#include <algorithm>
#include <utility>

#include "server/host/layer_catalog.h"
#include "server/store/store_errors.h"

namespace tconv::server {
namespace {

// Whether nothing newer than the weights has been published.
bool IsStillServed(const LayerCatalog::Served& served) {
  return served.layer->snapshot().weights_version <= served.weights->version;
}

}  // namespace

StatusOr<std::shared_ptr<const ChainRecord>> LayerCatalog::FindChain(const std::string& name) {
  return AskAgainAfterLook([&] { return registry_.FindChain(name); });
}

StatusOr<NamedEntry> LayerCatalog::FindAny(const std::string& name) {
  return AskAgainAfterLook([&] { return registry_.FindAny(name); });
}

StatusOr<std::vector<std::shared_ptr<Layer>>> LayerCatalog::FindLayersOf(
    const ChainRecord& chain) const {
  std::vector<std::shared_ptr<Layer>> layers;
  for (const LayerKey& key : LayersOf(chain)) {
    if (std::ranges::find(layers, key.id, &Layer::id) != layers.end()) continue;
    StatusOr<std::shared_ptr<Layer>> layer = registry_.Find(key.name);
    // Whoever has the chain had its layers before: it is the chain that is gone.
    const bool is_another =
        layer.ok() ? (*layer)->id() != key.id : layer.status().code() == StatusCode::kNotFound;
    if (is_another) {
      return MakeError(StatusCode::kAborted, "chain \"{}\" has been deleted meanwhile, try again",
                       chain.name);
    }
    if (!layer.ok()) return layer.status();
    layers.push_back(*std::move(layer));
  }
  return layers;
}

// Looks at all layers again after the last weights were found. Versions only grow: when
// none has moved by then, all were served at the instant between.
StatusOr<std::vector<LayerCatalog::Served>> LayerCatalog::ServeChain(const ChainRecord& chain) {
  TCONV_ASSIGN_OR_RETURN(const auto layers, FindLayersOf(chain));
  std::vector<Served> served;
  for (const std::shared_ptr<Layer>& layer : layers) {
    TCONV_ASSIGN_OR_RETURN(std::shared_ptr<const Weights> weights, WeightsOf(*layer));
    served.push_back({layer, std::move(weights)});
  }
  for (int tries = 0; tries < kMostTries; ++tries) {
    if (std::ranges::all_of(served, IsStillServed)) return served;
    for (Served& one : served) {
      if (IsStillServed(one)) continue;
      TCONV_ASSIGN_OR_RETURN(one.weights, WeightsOf(*one.layer));
    }
  }
  return MakeError(StatusCode::kAborted,
                   "the layers of chain \"{}\" change faster than they can be read, try again",
                   chain.name);
}

StatusOr<std::shared_ptr<const ChainRecord>> LayerCatalog::CreateChain(ChainRecord record) {
  TCONV_RETURN_IF_ERROR(CheckReachable());
  const StatusOr<int64_t> id = store_.CreateChain(record);
  TCONV_RETURN_IF_ERROR(health_.NoteStore(id.status()));
  record.id = *id;
  Take(record);
  health_.Notify();
  return std::make_shared<const ChainRecord>(std::move(record));
}

void LayerCatalog::Take(const ChainRecord& record) {
  const Registered registered = registry_.AddChain(record);
  if (registered.replaced != nullptr) Retire(*registered.replaced);
}

Status LayerCatalog::ChainStatus(const ChainRecord& chain) const {
  TCONV_ASSIGN_OR_RETURN(const auto layers, FindLayersOf(chain));
  for (const std::shared_ptr<Layer>& layer : layers) {
    TCONV_RETURN_IF_ERROR(LayerStatus(layer->name()));
  }
  return OkStatus();
}

}  // namespace tconv::server
