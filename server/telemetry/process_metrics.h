// What the kernel knows of this process.
#pragma once

#include "server/telemetry/metrics.h"

namespace tconv::server {

// Adds the process_* metrics that every client library of Prometheus has, and the
// number of threads. Nothing where there is no /proc.
void AddProcessMetrics(Metrics& metrics);

}  // namespace tconv::server
