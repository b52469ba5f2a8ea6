// The computation of a problem by its slabs.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "server/base/status.h"
#include "server/compute/plan_cache.h"
#include "server/layer/regularizer.h"
#include "server/layer/slabs.h"
#include "server/layer/weights.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

// Every Forward computes this way, so that it gives the same bits whether its
// input is there as a whole or arrives slab by slab. Thread-safe.
class SlabComputation {
 public:
  // `plans`, of which new ones count for `share`, and `memory`, for the tensors on
  // the way, must outlive this.
  SlabComputation(PlanCache& plans, BlockPool& memory, const DeconvProblem& problem,
                  std::shared_ptr<const Weights> weights, int64_t slab_bytes, CacheShare share = {})
      : plans_(plans),
        memory_(memory),
        problem_(problem),
        weights_(std::move(weights)),
        share_(std::move(share)),
        slabs_(SlabsOf(problem, slab_bytes)) {}

  const DeconvProblem& problem() const { return problem_; }
  const Slabs& slabs() const { return slabs_; }
  BlockPool& memory() const { return memory_; }
  const CacheShare& share() const { return share_; }

  // The plan of a slab. REQUIRES: the slab has outputs.
  StatusOr<std::shared_ptr<const CachedPlan>> PlanOf(const Slab& slab) const {
    return plans_.GetOrCompile(slab.problem, weights_, nullptr, share_);
  }

  // Computes one slab. `src` and `dst` are those of its problem.
  Status Execute(const Slab& slab, ConstTensorView src, TensorView dst) const;
  // Computes all slabs. `src` and `dst` are those of the whole problem.
  Status ExecuteAll(ConstTensorView src, TensorView dst) const;

  // Over the output of the whole problem, slab by slab.
  PenaltySums SumsOf(ConstTensorView dst) const;

 private:
  PlanCache& plans_;
  BlockPool& memory_;
  const DeconvProblem problem_;
  const std::shared_ptr<const Weights> weights_;
  const CacheShare share_;
  const Slabs slabs_;
};

}  // namespace tconv::server
