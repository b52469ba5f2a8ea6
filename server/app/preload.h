// Layers and chains that are there before the server listens.
#pragma once

#include "server/app/declared.h"
#include "server/base/status.h"
#include "server/host/layer_host.h"

namespace tconv::server {

// Creates the layers and chains that are missing, leaves those that are the same, and gives
// other layers the weights of the file as a new version. Other servers may do the same to
// the store. FAILED_PRECONDITION, before anything is changed: a layer exists with another
// configuration, or a chain of other steps. Else the errors of the host.
Status Preload(const Declared& declared, LayerHost& host);

}  // namespace tconv::server
