#include "server/host/layer_quota.h"

#include <memory>

#include "server/layer/weights.h"

namespace tconv::server {
namespace {

struct Usage {
  int64_t layers = 0;
  int64_t weight_bytes = 0;
};

Usage UsageOf(const TenantRules& tenant, const LayerCatalog& catalog) {
  Usage usage;
  for (const std::string& prefix : tenant.prefixes) {
    for (const auto& [layer, chain] : catalog.WithPrefix(prefix)) {
      ++usage.layers;
      if (layer == nullptr) continue;
      const LayerSnapshot snapshot = layer->snapshot();
      if (snapshot.is_built()) {
        usage.weight_bytes += WeightBytesOf(layer->settings()->config, snapshot.in_channels);
      }
    }
  }
  return usage;
}

}  // namespace

int64_t WeightBytesOf(const LayerConfig& config, int64_t in_channels) {
  return ParameterCount(config, in_channels) * static_cast<int64_t>(SizeOf(config.dtype.variable));
}

Status LayerQuota::CheckRoomFor(const std::string& name, int64_t more_layers,
                                int64_t more_weight_bytes) const {
  const auto owner = access_ == nullptr ? nullptr : access_->OwnerOf(name);
  if (owner == nullptr) return OkStatus();
  const TenantLimits& limits = owner->rules.limits;
  if (limits.layers == kNoLimit && limits.weight_bytes == kNoLimit) return OkStatus();
  const Usage usage = UsageOf(owner->rules, catalog_);
  if (more_layers > limits.layers - usage.layers) {
    return MakeError(StatusCode::kResourceExhausted,
                     "tenant \"{}\" holds its limit of {} layers and chains", owner->rules.name,
                     limits.layers);
  }
  if (more_weight_bytes > limits.weight_bytes - usage.weight_bytes) {
    return MakeError(StatusCode::kResourceExhausted,
                     "weights take {} bytes, the layers of tenant \"{}\" hold {} of {}",
                     more_weight_bytes, owner->rules.name, usage.weight_bytes, limits.weight_bytes);
  }
  return OkStatus();
}

CacheShare LayerQuota::PlanShareOf(const std::string& name) const {
  const auto owner = access_ == nullptr ? nullptr : access_->OwnerOf(name);
  if (owner == nullptr) return {};
  return {owner->rules.name, owner->rules.limits.plan_bytes};
}

}  // namespace tconv::server
