// Loading and unloading of models: layers by themselves, and the layers of chains.
#pragma once

#include <string>

#include "server/access/caller.h"
#include "server/base/status.h"
#include "server/host/layer_catalog.h"

namespace tconv::server {

// As LayerCatalog::Load(); of a chain for each layer. PERMISSION_DENIED, before anything is loaded,
// unless `caller`, if any, may use all of them.
Status LoadModel(LayerCatalog& catalog, const std::string& name, const Caller* caller);

// As LayerCatalog::Unload(). A chain has nothing in memory but what its layers have: it is unloaded
// `with_layers`, which other chains may have, too; else FAILED_PRECONDITION. PERMISSION_DENIED as
// for loading.
Status UnloadModel(LayerCatalog& catalog, const std::string& name, bool with_layers,
                   const Caller* caller);

}  // namespace tconv::server
