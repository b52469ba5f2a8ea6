#include "server/telemetry/metrics_endpoint.h"

#include <CivetServer.h>
#include <prometheus/exposer.h>
#include <spdlog/spdlog.h>

#include <exception>
#include <utility>
#include <vector>

namespace tconv::server {
namespace {

int Log(const mg_connection*, const char* message) {
  spdlog::debug("metrics: {}", message);
  return 1;
}

std::vector<std::string> HttpOptions(const std::string& address) {
  // A scraper and somebody who looks; whoever is slower than that is cut off.
  return {"listening_ports", address, "num_threads", "2", "request_timeout_ms", "10000"};
}

}  // namespace

StatusOr<std::unique_ptr<MetricsEndpoint>> MetricsEndpoint::Start(const std::string& address,
                                                                  const Metrics& metrics) {
  CivetCallbacks callbacks;
  callbacks.log_message = Log;
  const size_t colon = address.rfind(':');
  // The HTTP server of Debian knows no IPv6, and takes a list.
  if (colon == std::string::npos || address.find_first_of("[,") != std::string::npos) {
    return InvalidField("metrics-listen", "expected an IPv4 address and a port, got \"{}\"",
                        address);
  }
  try {
    auto exposer = std::make_unique<prometheus::Exposer>(HttpOptions(address), &callbacks);
    const auto bound =
        fmt::format("{}:{}", address.substr(0, colon), exposer->GetListeningPorts().front());
    return std::unique_ptr<MetricsEndpoint>(
        new MetricsEndpoint(std::move(exposer), bound, metrics));
  } catch (const std::exception&) {
    return MakeError(StatusCode::kUnavailable,
                     "cannot listen on {} for metrics: it is not an address of this machine, or in "
                     "use",
                     address);
  }
}

MetricsEndpoint::MetricsEndpoint(std::unique_ptr<prometheus::Exposer> exposer,
                                 const std::string& address, const Metrics& metrics)
    : metrics_(metrics.all()), exposer_(std::move(exposer)), address_(address) {
  exposer_->RegisterCollectable(metrics_);
}

MetricsEndpoint::~MetricsEndpoint() = default;

}  // namespace tconv::server
