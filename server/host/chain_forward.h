// What calls of Forward make of a chain.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/base/status.h"
#include "server/compute/worker_pool.h"
#include "server/host/chain_units.h"
#include "server/host/forward_job.h"
#include "server/host/layer_catalog.h"
#include "server/host/layer_forward.h"
#include "server/host/version_waiters.h"
#include "server/store/layer_key.h"

namespace tconv::server {

// What ForwardFacts::strategy says of a chain, whose layers have one each.
inline constexpr std::string_view kChainStrategy = "chain";

// A chain with the weights of one call.
struct ServedChain {
  LayerKey key;
  std::vector<LayerCatalog::Served> layers;  // each once
  std::vector<ChainUnit> units;

  // The sum of all.
  int64_t version() const;
  VersionedLayers versioned() const;
  const std::shared_ptr<const Weights>& WeightsOf(const ChainUnit& unit) const;
};

// As LayerCatalog::ServeChain().
StatusOr<ServedChain> ServeChain(LayerCatalog& catalog, const ChainRecord& chain);
// PERMISSION_DENIED unless `caller`, if any, may use all layers.
Status CheckMayUse(const ServedChain& chain, const Caller* caller);

// Computes the units of a chain one after the other, as a Forward each: from the output
// of one, where it lies, to that of the next, at most two of them at a time. Thread-safe.
class ChainForward {
 public:
  // Both must outlive it.
  ChainForward(const LayerForward& layers, WorkerPool& pool) : layers_(layers), pool_(pool) {}

  // Fills in what comes of `jobs`, as LayerForward::Run().
  void Run(const ServedChain& chain, std::span<ForwardJob* const> jobs) const;

 private:
  class Passage;

  Status Check(const ServedChain& chain, const ForwardJob& job) const;
  void RunUnit(const ServedChain& chain, const ChainUnit& unit,
               std::span<Passage* const> passages) const;
  Status RunPasses(const ChainUnit& unit, const std::optional<OutputRoom>& room,
                   ForwardResult& result) const;

  const LayerForward& layers_;
  WorkerPool& pool_;
};

}  // namespace tconv::server
