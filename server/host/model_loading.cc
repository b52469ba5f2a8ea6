#include "server/host/model_loading.h"

#include <memory>
#include <vector>

namespace tconv::server {
namespace {

using Layers = std::vector<std::shared_ptr<Layer>>;

StatusOr<Layers> LayersOf(const NamedEntry& named, const LayerCatalog& catalog) {
  if (named.chain != nullptr) return catalog.FindLayersOf(*named.chain);
  return Layers{named.layer};
}

StatusOr<Layers> AllowedLayersOf(const NamedEntry& named, const LayerCatalog& catalog,
                                 const Caller* caller) {
  TCONV_ASSIGN_OR_RETURN(Layers layers, LayersOf(named, catalog));
  if (caller == nullptr) return layers;
  for (const auto& layer : layers) TCONV_RETURN_IF_ERROR(caller->CheckLayer(layer->name()));
  return layers;
}

}  // namespace

Status LoadModel(LayerCatalog& catalog, const std::string& name, const Caller* caller) {
  TCONV_ASSIGN_OR_RETURN(const NamedEntry named, catalog.FindAny(name));
  TCONV_ASSIGN_OR_RETURN(const Layers layers, AllowedLayersOf(named, catalog, caller));
  for (const auto& layer : layers) TCONV_RETURN_IF_ERROR(catalog.Load(*layer));
  return OkStatus();
}

Status UnloadModel(LayerCatalog& catalog, const std::string& name, bool with_layers,
                   const Caller* caller) {
  TCONV_ASSIGN_OR_RETURN(const NamedEntry named, catalog.FindAny(name));
  if (named.chain != nullptr && !with_layers) {
    return MakeError(StatusCode::kFailedPrecondition,
                     "chain \"{}\" has nothing in memory but its layers: unload_dependents unloads "
                     "these",
                     name);
  }
  TCONV_ASSIGN_OR_RETURN(const Layers layers, AllowedLayersOf(named, catalog, caller));
  for (const auto& layer : layers) catalog.Unload(*layer);
  return OkStatus();
}

}  // namespace tconv::server
