// Compiles overlap-add for channels_last, where outputs are blocks of filters.
//
// One matrix product per tile gives what every tap adds to every input position,
// [positions, taps * filters], from the input as it lies. Taps are ordered so
// that the outputs at one position are sums of whole blocks of that product.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "server/base/status.h"
#include "server/compute/onednn/overlap_blocks_plan.h"
#include "server/compute/onednn/packed_weights.h"
#include "server/compute/onednn/runtime.h"
#include "server/compute/overlap_blocks.h"
#include "server/compute/strategy.h"
#include "server/compute/worker_pool.h"

namespace tconv::server {

// Thread-safe.
class OverlapBlocksCompiler {
 public:
  // `pool` must outlive this and the plans.
  OverlapBlocksCompiler(std::shared_ptr<const OneDnnRuntime> runtime, WorkerPool& pool)
      : runtime_(std::move(runtime)), pool_(pool) {}

  // As Strategy::Compile(). REQUIRES: channels_last, no axis that is strided and
  // dilated.
  StatusOr<std::unique_ptr<const ForwardPlan>> Compile(
      const DeconvProblem& problem, std::shared_ptr<const Weights> weights) const;

 private:
  using WeightsPart = std::vector<int64_t>;

  StatusOr<OverlapBlocksParts> MakeParts(const DeconvProblem& problem, const OverlapBlocks& blocks,
                                         const std::shared_ptr<const Weights>& weights) const;
  StatusOr<std::shared_ptr<const PackedWeights>> Pack(const DeconvProblem& problem,
                                                      const OverlapBlocks& blocks,
                                                      const OverlapTask& task,
                                                      ConstTensorView kernel) const;

  const std::shared_ptr<const OneDnnRuntime> runtime_;
  WorkerPool& pool_;
  mutable PackedWeightsIndex<WeightsPart> packed_weights_;
};

}  // namespace tconv::server
