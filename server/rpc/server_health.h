// What the server tells of its health, and to whom.
#pragma once

#include <atomic>
#include <optional>
#include <string>

#include "server/access/access_control.h"
#include "server/host/health_source.h"
#include "server/rpc/health_service.h"

namespace tconv::server {

// The services that health knows:
//   ""                               takes calls (readiness)
//   "tconv.v1.TransposedConvService" the same
//   "inference.GRPCInferenceService" the same
//   "tconv.live"                     the process works, also while it drains
//   "tconv.store"                    the store can be asked
//   "tconv.layer/NAME"               the layer is served as it is in the store; only
//                                    those may ask who may use the layer
// Thread-safe.
class ServerHealth {
 public:
  // `host` and `access` must outlive this.
  ServerHealth(HealthSource& host, const AccessControl& access);
  // REQUIRES: the servers that its services are registered with have ended.
  ~ServerHealth();
  ServerHealth(const ServerHealth&) = delete;
  ServerHealth& operator=(const ServerHealth&) = delete;

  // All of these services.
  grpc::Service* service() { return &service_; }
  // Those without the layers, whose names are not for everybody.
  grpc::Service* probe_service() { return &probe_service_; }

  bool takes_calls() const { return takes_calls_; }
  // From now on the server does not take calls.
  void StopServing();
  // Ends the calls of those who watch.
  void EndWatches();

 private:
  std::optional<bool> IsServing(const std::string& service) const;
  std::optional<bool> IsServingOrLayer(const std::string& service) const;
  void Refresh();

  HealthSource& host_;
  std::atomic<bool> takes_calls_{true};
  HealthService service_;
  HealthService probe_service_;
};

}  // namespace tconv::server
