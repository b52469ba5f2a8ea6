// What the operator declares as model files in a folder.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "formats/array.h"
#include "server/base/status.h"
#include "server/host/chains.h"
#include "server/layer/geometry.h"
#include "server/layer/layer_config.h"
#include "server/layer/weights.h"

namespace tconv::server {

struct DeclaredLayer {
  std::string file;  // its name in the folder
  std::string name;
  LayerConfig config;
  PartialShape build_shape;  // empty: the file has none
  formats::Array kernel;
  std::optional<formats::Array> bias;

  // New weights in the types of the layer, at version 0. Errors of MakeWeights().
  StatusOr<Weights> MakeWeights() const;
};

struct DeclaredChain {
  std::string file;
  ChainDraft draft;
};

struct Declared {
  std::vector<DeclaredLayer> layers;
  std::vector<DeclaredChain> chains;
};

// The layers of all model files in the folder, in the order of the names of these, with
// weights that fit. A Sequential of two and more steps is a chain as well, which has the
// name of its file without the ending. Hidden files are left out; others than model files
// and their configurations are an error, as everything is that reading them tells.
// Forks: better before there are threads. INVALID_ARGUMENT with the name of the file.
StatusOr<Declared> ReadDeclared(const std::string& folder);

}  // namespace tconv::server
