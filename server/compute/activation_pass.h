// Activations as a pass of their own over a complete linear result.
#pragma once

#include "server/base/status.h"
#include "server/compute/worker_pool.h"
#include "server/layer/geometry.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

// y = f(z) for an activation that runs along an axis. Narrow values are computed in
// float32 and rounded. y may be z where the activation keeps the shape and the type
// is wide. RESOURCE_EXHAUSTED without memory.
Status ActivateAlongAxis(const Activation& activation, ConstTensorView z, TensorView y);

// y = f(z) for the activation of `problem`, to the last bit what plans make of z; on
// the pool where the activation has no axis but that of the channels. No overlap.
// RESOURCE_EXHAUSTED without memory.
Status ActivateResult(WorkerPool& pool, const DeconvProblem& problem, ConstTensorView z,
                      TensorView y);

// The same for a function of its own, over a tensor of this data format.
// REQUIRES: y.shape == *activation.OutputShape(z.shape).
Status ActivateTensor(WorkerPool& pool, const Activation& activation, DataFormat data_format,
                      ConstTensorView z, TensorView y);
// In memory from `memory`.
StatusOr<Tensor> Activated(WorkerPool& pool, const Activation& activation, DataFormat data_format,
                           ConstTensorView z, BlockPool& memory);

}  // namespace tconv::server
