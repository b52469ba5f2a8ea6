// How many layers and chains, and how large ones, somebody may keep.
#pragma once

#include <cstdint>
#include <string>

#include "server/access/access_control.h"
#include "server/base/cache_share.h"
#include "server/base/status.h"
#include "server/host/layer_catalog.h"
#include "server/layer/layer_config.h"

namespace tconv::server {

// Of all weights of a layer that is built for so many channels.
int64_t WeightBytesOf(const LayerConfig& config, int64_t in_channels);

// Refuses layers beyond what their tenants may have. Counts the layers that are
// there each time it is asked: nothing can go out of step with them. Thread-safe.
class LayerQuota {
 public:
  // `catalog` and `access` must outlive it. Null: there are no tenants.
  LayerQuota(const LayerCatalog& catalog, const AccessControl* access)
      : catalog_(catalog), access_(access) {}

  // Whether the owner of `name` may have so many more. RESOURCE_EXHAUSTED.
  Status CheckRoomFor(const std::string& name, int64_t more_layers,
                      int64_t more_weight_bytes) const;

  // Of the cache of plans, for those of layer `name` and all others of its owner.
  CacheShare PlanShareOf(const std::string& name) const;

 private:
  const LayerCatalog& catalog_;
  const AccessControl* const access_;
};

}  // namespace tconv::server
