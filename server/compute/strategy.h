// How transposed convolutions are computed: the interface between the planner
// and the ways to compute.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "server/base/shared_part.h"
#include "server/base/status.h"
#include "server/layer/geometry.h"
#include "server/layer/weights.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

// One layer compiled for one DeconvProblem: kernels chosen, weights packed.
// Immutable; Execute() may run on many threads at once.
class ForwardPlan {
 public:
  virtual ~ForwardPlan() = default;

  // dst = activation(transposed_convolution(src, kernel) + bias). Writes every
  // element of dst. REQUIRES: src and dst are aligned to their elements, better
  // to 64 bytes, and have the dtype, src_shape() and dst_shape() of the problem;
  // no overlap.
  virtual Status Execute(ConstTensorView src, TensorView dst) const = 0;

  // Memory that this plan holds and shares with no other, in bytes.
  virtual int64_t bytes_held() const = 0;

  // Memory that this plan holds and other plans may hold as well, each part
  // named once.
  virtual std::vector<SharedPart> shared_parts() const = 0;
};

// One way to compute. Stateless; safe on many threads at once.
class Strategy {
 public:
  virtual ~Strategy() = default;

  // Lower case; what --strategy accepts.
  virtual std::string_view name() const = 0;

  // OK, or UNIMPLEMENTED with the reason.
  virtual Status Supports(const DeconvProblem& problem) const = 0;

  // How long one thread would take, roughly: for comparison with others.
  // REQUIRES: Supports(problem) is OK.
  virtual std::chrono::nanoseconds EstimatedTime(const DeconvProblem& problem) const = 0;

  // Whether plans for the problem finish all filters of an output position
  // together. Then Compile() also takes activations along them, as
  // Weave::ActivatesPositions() says.
  virtual bool FinishesWholePositions(const DeconvProblem&) const { return false; }

  // Packs the weights and prepares all that Execute() needs. RESOURCE_EXHAUSTED
  // without memory. REQUIRES: Supports(problem) is OK, the weights fit the
  // problem, the activation is element-wise or one that FinishesWholePositions()
  // allows (CompilePlan() takes the others).
  virtual StatusOr<std::unique_ptr<const ForwardPlan>> Compile(
      const DeconvProblem& problem, std::shared_ptr<const Weights> weights) const = 0;
};

}  // namespace tconv::server
