// Compiles overlap-add for channels_first, where outputs are planes.
//
// One matrix product per tile gives what every tap adds to every input position,
// [taps * filters, positions], from the kernel as Keras lays it out and the
// input as it lies. Each row of the output is then a sum of shifted rows of that
// product.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "server/base/status.h"
#include "server/compute/onednn/packed_weights.h"
#include "server/compute/onednn/runtime.h"
#include "server/compute/overlap_layout.h"
#include "server/compute/strategy.h"
#include "server/compute/worker_pool.h"

namespace tconv::server {

// Thread-safe.
class OverlapPlanesCompiler {
 public:
  // `pool` must outlive this and the plans.
  OverlapPlanesCompiler(std::shared_ptr<const OneDnnRuntime> runtime, WorkerPool& pool)
      : runtime_(std::move(runtime)), pool_(pool) {}

  // As Strategy::Compile(). REQUIRES: channels_first, no axis that is strided
  // and dilated.
  StatusOr<std::unique_ptr<const ForwardPlan>> Compile(
      const DeconvProblem& problem, std::shared_ptr<const Weights> weights) const;

 private:
  using WeightsPart = std::vector<int64_t>;

  // Null when the kernel serves as it is.
  StatusOr<std::shared_ptr<const PackedWeights>> Pack(
      const DeconvProblem& problem, const OverlapLayout& layout, DType multiplied_as,
      const std::shared_ptr<const Weights>& weights) const;

  const std::shared_ptr<const OneDnnRuntime> runtime_;
  WorkerPool& pool_;
  mutable PackedWeightsIndex<WeightsPart> packed_weights_;
};

}  // namespace tconv::server
