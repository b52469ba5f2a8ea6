// What the status page tells of a running server.
#pragma once

#include <cstddef>
#include <string>

#include "server/host/layer_host.h"
#include "server/telemetry/metrics.h"

namespace tconv::server {

// Which layers are asked for.
struct LayerSelection {
  std::string part;   // of their names; empty: any
  std::string after;  // names that come after this one
  size_t limit = 50;  // > 0
};

// One JSON object, as docs/operations.md describes it: the server, its load, its
// methods, and a page of its layers. Does not wait for the store. What is text in it
// may come from anybody.
std::string StatusReport(LayerHost& host, const Metrics& metrics, const LayerSelection& selection);

}  // namespace tconv::server
