// Layers that the operator declares as model files in a folder.
#pragma once

#include <string>
#include <vector>

#include "formats/model.h"
#include "server/base/status.h"
#include "server/host/layer_host.h"
#include "server/layer/layer_config.h"

namespace tconv::server {

struct DeclaredLayer {
  std::string file;  // its name in the folder
  formats::Layer layer;
  LayerConfig config;  // for which the weights have the right shapes
  PartialShape build_shape;
};

// The layers of all model files in the folder, in the order of the names of these.
// Hidden files are left out; others than model files and their configurations are an
// error, as everything is that reading them tells. Forks: better before there are
// threads. INVALID_ARGUMENT with the name of the file.
StatusOr<std::vector<DeclaredLayer>> ReadPreload(const std::string& folder);

// Creates the layers that are missing, leaves those that are the same, and gives others
// the weights of the file as a new version. Other servers may do the same to the store.
// FAILED_PRECONDITION, before anything is changed: a layer exists with another
// configuration. Else the errors of the host.
Status ApplyPreload(const std::vector<DeclaredLayer>& layers, LayerHost& host);

}  // namespace tconv::server
