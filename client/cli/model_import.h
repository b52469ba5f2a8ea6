// Bringing the layers of a model file to a server, all or none.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <tconv/client.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "formats/model.h"

namespace tconv::cli {

struct ImportRequest {
  formats::Model model = {};  // with the layers to import
  std::string prefix = {};    // of their names on the server
  // Sets the weights of layers that exist, if these have the same configuration.
  bool replace = false;
  // Name of the chain to make of the whole model; empty: none. Not with `replace`.
  std::string chain = {};
};

struct ImportedLayer {
  std::string name = {};  // on the server
  bool is_new = false;
  int64_t weights_version = 0;
};

// Told the share that is done, from 0 to 1.
using ShareObserver = std::function<void(double)>;

// Looks at everything that can be known before, then creates the layers and the chain,
// then replaces weights. After an error nothing is left of what was created; weights
// that were replaced by then are named. The layers are in the order of the model.
// ALREADY_EXISTS: a name is taken, and `replace` is not set. FAILED_PRECONDITION: a layer
// that exists has another configuration. INVALID_ARGUMENT: the model is not a chain.
// Else the errors of the calls.
absl::StatusOr<std::vector<ImportedLayer>> ImportModel(const Client& client,
                                                       const ImportRequest& request,
                                                       const ShareObserver& observer);

}  // namespace tconv::cli
