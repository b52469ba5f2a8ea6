#include "server/rpc/server_health.h"

#include <inference/grpc_inference_service.grpc.pb.h>
#include <tconv/v1/transposed_conv.grpc.pb.h>

#include <string_view>

#include "server/rpc/door.h"

namespace tconv::server {
namespace {

constexpr std::string_view kLayer = "tconv.layer/";

Status MayAsk(const AccessControl& access, const grpc::ServerContextBase& context,
              const std::string& service) {
  if (!service.starts_with(kLayer)) return OkStatus();
  TCONV_ASSIGN_OR_RETURN(const Caller caller, CallerOf(access, context));
  TCONV_RETURN_IF_ERROR(caller.CheckRole(Role::kRead));
  return caller.CheckLayer(service.substr(kLayer.size()));
}

}  // namespace

ServerHealth::ServerHealth(HealthSource& host, const AccessControl& access)
    : host_(host),
      service_([this](const std::string& service) { return IsServingOrLayer(service); },
               [&access](const grpc::ServerContextBase& context, const std::string& service) {
                 return MayAsk(access, context, service);
               }),
      probe_service_([this](const std::string& service) { return IsServing(service); },
                     [](const auto&, const auto&) { return OkStatus(); }) {
  host_.SetHealthListener([this] { Refresh(); });
}

ServerHealth::~ServerHealth() { host_.SetHealthListener(nullptr); }

std::optional<bool> ServerHealth::IsServing(const std::string& service) const {
  if (service.empty() || service == v1::TransposedConvService::service_full_name() ||
      service == inference::GRPCInferenceService::service_full_name()) {
    return takes_calls_.load();
  }
  if (service == "tconv.live") return true;
  if (service == "tconv.store") return host_.StoreStatus().ok();
  return std::nullopt;
}

std::optional<bool> ServerHealth::IsServingOrLayer(const std::string& service) const {
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
