// The running server: all of its parts, put together.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "server/access/access_control.h"
#include "server/access/access_reloader.h"
#include "server/app/options.h"
#include "server/base/status.h"
#include "server/compute/backward_plan_cache.h"
#include "server/compute/backward_planner.h"
#include "server/compute/plan_cache.h"
#include "server/compute/planner.h"
#include "server/compute/worker_pool.h"
#include "server/host/admission_queue.h"
#include "server/host/layer_host.h"
#include "server/host/layer_training.h"
#include "server/host/shared_memory.h"
#include "server/rpc/admin_service.h"
#include "server/rpc/arrival_watch.h"
#include "server/rpc/call_telemetry.h"
#include "server/rpc/chain_service.h"
#include "server/rpc/door.h"
#include "server/rpc/generic_methods.h"
#include "server/rpc/grpc_server.h"
#include "server/rpc/inference_service.h"
#include "server/rpc/segment_server.h"
#include "server/rpc/server_health.h"
#include "server/rpc/training_service.h"
#include "server/rpc/transposed_conv_service.h"
#include "server/store/layer_store.h"
#include "server/telemetry/http_endpoint.h"
#include "server/telemetry/metrics.h"

namespace tconv::server {

// The calls that are in the house.
struct CallLoad {
  int64_t calls = 0;
  int64_t bytes = 0;  // that they hold
};

// Serves from Start() until it is drained or destroyed. Several may run in one
// process.
class App {
 public:
  // INVALID_ARGUMENT for options that do not work; else the errors of opening
  // the store and of listening.
  static StatusOr<std::unique_ptr<App>> Start(const ServerOptions& options);
  // Without Drain(): cancels the calls that run.
  ~App() = default;

  // Where it listens, with the ports that were bound.
  const std::vector<std::string>& addresses() const { return server_->addresses(); }

  // Where the metrics and the status page can be asked for; empty: nowhere.
  std::string metrics_address() const {
    return metrics_endpoint_ == nullptr ? "" : metrics_endpoint_->address();
  }
  const Metrics& metrics() const { return metrics_; }

  CallLoad load() const;

  // Where the probes are answered; empty without them.
  const std::vector<std::string>& probe_addresses() const;

  // As the Drain() of drain.h.
  Status Drain(std::chrono::seconds limit,
               std::chrono::seconds delay = std::chrono::seconds::zero());

 private:
  App() = default;

  // The steps of Start(), in this order.
  Status OpenHost(const ServerOptions& options);
  Status OpenDoor(const ServerOptions& options);
  void MakeServices(const ServerOptions& options);
  Status Listen(const ServerOptions& options);

  // In the order of construction: each part uses only those before it.
  AccessControl access_;
  std::unique_ptr<AccessReloader> access_file_;  // null: everybody may do everything
  std::unique_ptr<LayerStore> store_;
  std::unique_ptr<WorkerPool> pool_;
  std::unique_ptr<const Planner> planner_;
  std::unique_ptr<PlanCache> plans_;
  std::unique_ptr<const BackwardPlanner> backward_planner_;
  std::unique_ptr<BackwardPlanCache> backward_plans_;
  std::unique_ptr<LayerHost> host_;
  std::unique_ptr<LayerTraining> training_;
  std::unique_ptr<SharedMemory> memory_;
  std::unique_ptr<AdmissionQueue> reads_;
  std::unique_ptr<AdmissionQueue> work_;
  std::unique_ptr<ArrivalWatch> arrivals_;
  std::unique_ptr<Door> door_;
  Metrics metrics_;
  std::unique_ptr<CallTelemetry> telemetry_;
  GenericMethods generic_methods_;
  std::unique_ptr<TransposedConvServiceImpl> service_;
  std::unique_ptr<TrainingServiceImpl> training_service_;
  std::unique_ptr<ChainServiceImpl> chain_service_;
  std::unique_ptr<AdminServiceImpl> admin_;
  std::unique_ptr<SegmentServer> segments_;  // null: no shared memory
  std::unique_ptr<ServerHealth> health_;
  std::unique_ptr<InferenceServiceImpl> inference_service_;
  std::unique_ptr<GrpcServer> probe_server_;  // null: no probes
  std::unique_ptr<GrpcServer> server_;
  std::unique_ptr<HttpEndpoint> metrics_endpoint_;  // null: nobody can ask
};

}  // namespace tconv::server
