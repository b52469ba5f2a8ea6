// A layer's output and its gradients, for one input and one version of the weights.
#pragma once

#include <memory>
#include <utility>

#include "server/base/cache_share.h"
#include "server/base/status.h"
#include "server/compute/backward_plan_cache.h"
#include "server/compute/plan_cache.h"
#include "server/compute/worker_pool.h"
#include "server/layer/geometry.h"
#include "server/layer/weights.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

// What all computations share. Does not own it.
struct ComputeTools {
  PlanCache& plans;
  BackwardPlanCache& backward_plans;
  WorkerPool& pool;
  BlockPool& memory;
};

// Which gradients are wanted.
struct WantedGradients {
  bool input = true;
  bool weights = true;
};

struct Gradients {
  Tensor input;           // in the compute dtype; empty when not wanted
  WeightTensors weights;  // in the variable dtype; empty when not wanted
};

// y = activation(z), z = transposed_convolution(src, kernel) + bias, and the way back.
// Used by one thread, which computes on the pool.
class Differentiation {
 public:
  // What the tools refer to must outlive this; `problem` is that of the layer, with its
  // activation, for `weights`.
  Differentiation(const ComputeTools& tools, DeconvProblem problem,
                  std::shared_ptr<const Weights> weights, CacheShare share = {});

  // Computes y from `src`, which is in the compute dtype and is kept. Errors of
  // PlanCache::GetOrCompile() and ForwardPlan::Execute().
  Status RunForward(Tensor src);
  // The same without y, on which the gradients of a linear layer do not depend.
  // REQUIRES: the activation is linear. RESOURCE_EXHAUSTED without memory.
  Status SkipForward(Tensor src);
  // In the compute dtype. REQUIRES: RunForward().
  ConstTensorView output() const;

  // The gradients of L from dL/dy, in float32 (float64 for float64 problems), in the
  // shape of the output, which is used up: as Keras computes them, rounded to the
  // compute dtype where that is narrower. To be called once, after either of
  // the two. Errors of BackwardPlanCache::GetOrCompile() and BackwardPlan::Execute().
  StatusOr<Gradients> RunBackward(Tensor diff_output, const WantedGradients& wanted);

  // What is no longer needed here: to be called when all else has been.
  Tensor TakeSource() { return std::move(src_); }
  Tensor TakeOutput() { return std::move(problem_.activation.is_linear() ? linear_ : output_); }

 private:
  // Keeps `src`, and has room for z.
  Status Begin(Tensor src);
  // In the wide type; empty when `is_wanted` is not.
  StatusOr<Tensor> AllocateWide(const Shape& shape, bool is_wanted) const;
  // `gradient`, rounded to the compute dtype, in the dtype `as`.
  StatusOr<Tensor> Rounded(Tensor gradient, DType as) const;

  const ComputeTools tools_;
  const DeconvProblem problem_;
  const std::shared_ptr<const Weights> weights_;
  const CacheShare share_;
  Tensor src_;
  Tensor linear_;
  Tensor output_;  // empty when it is linear_
};

}  // namespace tconv::server
