#include "server/rpc/server_health.h"

#include <tconv/v1/transposed_conv.grpc.pb.h>

#include <string_view>

namespace tconv::server {

ServerHealth::ServerHealth(HealthSource& host)
    : host_(host),
      service_([this](const std::string& service) { return IsServingOrLayer(service); }),
      probe_service_([this](const std::string& service) { return IsServing(service); }) {
  host_.SetHealthListener([this] { Refresh(); });
}

ServerHealth::~ServerHealth() { host_.SetHealthListener(nullptr); }

std::optional<bool> ServerHealth::IsServing(const std::string& service) const {
  if (service.empty() || service == v1::TransposedConvService::service_full_name()) {
    return takes_calls_.load();
  }
  if (service == "tconv.live") return true;
  if (service == "tconv.store") return host_.StoreStatus().ok();
  return std::nullopt;
}

std::optional<bool> ServerHealth::IsServingOrLayer(const std::string& service) const {
  constexpr std::string_view kLayer = "tconv.layer/";
  if (!service.starts_with(kLayer)) return IsServing(service);
  const Status status = host_.LayerStatus(service.substr(kLayer.size()));
  if (status.code() == StatusCode::kNotFound) return std::nullopt;
  return status.ok() && takes_calls_.load();
}

void ServerHealth::StopServing() {
  takes_calls_ = false;
  Refresh();
}

void ServerHealth::EndWatches() {
  service_.EndWatches();
  probe_service_.EndWatches();
}

void ServerHealth::Refresh() {
  service_.Refresh();
  probe_service_.Refresh();
}

}  // namespace tconv::server
