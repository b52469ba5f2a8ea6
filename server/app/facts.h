// What the metrics tell of the parts of a server.
#pragma once

#include "server/app/options.h"
#include "server/compute/backward_plan_cache.h"
#include "server/compute/plan_cache.h"
#include "server/compute/worker_pool.h"
#include "server/host/admission_queue.h"
#include "server/host/layer_host.h"
#include "server/host/shared_memory.h"
#include "server/telemetry/metrics.h"

namespace tconv::server {

struct MeasuredParts {
  const LayerHost& host;
  const PlanCache& plans;
  const BackwardPlanCache& backward_plans;
  const WorkerPool& pool;
  const SharedMemory& memory;
  const AdmissionQueue& reads;
  const AdmissionQueue& work;
};

// Each part knows its own numbers and is asked for them when somebody asks for the
// metrics. `parts` must outlive whoever asks. `options` are those in force.
void AddFacts(const MeasuredParts& parts, const ServerOptions& options, Metrics& metrics);

}  // namespace tconv::server
