// The pages that the metrics port serves.
#pragma once

#include <vector>

#include "server/host/layer_host.h"
#include "server/telemetry/http_endpoint.h"
#include "server/telemetry/metrics.h"

namespace tconv::server {

// "/metrics" for Prometheus; "/" for people, with what it needs; and "/status.json",
// what it shows. `host` and `metrics` must outlive the pages.
std::vector<HttpPage> StatusPages(LayerHost& host, const Metrics& metrics);

}  // namespace tconv::server
