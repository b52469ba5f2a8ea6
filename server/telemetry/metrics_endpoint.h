// Where Prometheus asks.
#pragma once

#include <memory>
#include <string>

#include "server/base/status.h"
#include "server/telemetry/metrics.h"

namespace prometheus {
class Collectable;
class Exposer;
}  // namespace prometheus

namespace tconv::server {

// Answers GET /metrics over HTTP from Start() until it is destroyed, to everybody
// who reaches the address.
class MetricsEndpoint {
 public:
  // `address` is "ip:port", of IPv4; port 0 takes a free one. `metrics` and what
  // they read must outlive the endpoint. INVALID_ARGUMENT about metrics-listen for
  // another form; UNAVAILABLE when it cannot be listened on.
  static StatusOr<std::unique_ptr<MetricsEndpoint>> Start(const std::string& address,
                                                          const Metrics& metrics);
  ~MetricsEndpoint();

  // As given, with the port that was bound in the place of 0.
  const std::string& address() const { return address_; }

 private:
  MetricsEndpoint(std::unique_ptr<prometheus::Exposer> exposer, const std::string& address,
                  const Metrics& metrics);

  // The exposer holds them weakly.
  const std::shared_ptr<prometheus::Collectable> metrics_;
  const std::unique_ptr<prometheus::Exposer> exposer_;
  const std::string address_;
};

}  // namespace tconv::server
