// What the status page tells of a running server.
#pragma once

#include <cstddef>
#include <string>

#include "server/host/layer_host.h"
#include "server/telemetry/metrics.h"

namespace tconv::server {

// Which layers and chains are asked for.
struct StatusSelection {
  std::string part;          // of their names; empty: any
  std::string after;         // layers whose names come after this one
  std::string chains_after;  // the same of chains
  size_t limit = 50;         // of each, > 0
};

// One JSON object, as docs/operations.md describes it: the server, its load, its
// methods, a page of its layers and one of its chains. Does not wait for the store. What is text in
// it may come from anybody.
std::string StatusReport(LayerHost& host, const Metrics& metrics, const StatusSelection& selection);

}  // namespace tconv::server
