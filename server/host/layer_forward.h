// What calls of Forward make of a layer.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "server/base/status.h"
#include "server/compute/plan_cache.h"
#include "server/host/forward_batch.h"
#include "server/host/forward_job.h"
#include "server/host/layer_quota.h"
#include "server/host/slab_computation.h"
#include "server/host/version_waiters.h"
#include "server/layer/geometry.h"
#include "server/layer/layer_config.h"
#include "server/layer/weights.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

// Whether an output may be made, in `room` or in memory of the server: INVALID_ARGUMENT
// (about `output.size_bytes`), RESOURCE_EXHAUSTED.
Status CheckOutputBytes(DType dtype, const Shape& shape, const std::optional<OutputRoom>& room,
                        int64_t limit);

// Whether `version`, which `layers` serve, is what the job asks for: UNAVAILABLE, NOT_FOUND.
Status CheckVersion(const VersionedLayers& layers, int64_t version, const ForwardJob& job);

// Computes with whatever weights it is given. Thread-safe.
class LayerForward {
 public:
  struct Parts {
    PlanCache& plans;
    BlockPool& memory;
    const LayerQuota& quota;
    int64_t max_output_bytes = 0;
    int64_t slab_bytes = 0;
  };

  // All parts must outlive it.
  explicit LayerForward(const Parts& parts) : parts_(parts) {}

  int64_t max_output_bytes() const { return parts_.max_output_bytes; }
  BlockPool& memory() const { return parts_.memory; }
  const PlanCache& plans() const { return parts_.plans; }

  // Fills in what comes of `jobs`, of a layer with this configuration. Jobs with inputs
  // of the same shape are computed as one batch where that is allowed, with the same
  // results to the last bit; a job that fails does not harm the others.
  void Run(const LayerConfig& config, const std::shared_ptr<const Weights>& weights,
           std::span<ForwardJob* const> jobs) const;

  // Of `problem` by its slabs, with plans that count for the owner of `layer`.
  SlabComputation ComputationOf(const std::string& layer, const DeconvProblem& problem,
                                std::shared_ptr<const Weights> weights) const;

 private:
  StatusOr<ReadyForward> Prepare(const LayerConfig& config,
                                 const std::shared_ptr<const Weights>& weights,
                                 ForwardJob& job) const;
  void Compute(const LayerConfig& config, const std::shared_ptr<const Weights>& weights,
               ForwardBatch batch) const;

  const Parts parts_;
};

}  // namespace tconv::server
