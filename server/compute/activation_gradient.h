// The way back through an activation and a bias.
#pragma once

#include "server/base/status.h"
#include "server/compute/worker_pool.h"
#include "server/layer/geometry.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

struct LinearGradient {
  Tensor diff_z;     // dL/dz, linear_shape(); values of the compute dtype
  Tensor diff_bias;  // float64, [out_channels]; empty for a problem without bias
};

// dL/dz and dL/dbias, the sum of dL/dz over all positions, from z, which is in the
// compute dtype, and dL/dy, which is float32 (float64 for float64 problems) and used
// up. Every step is rounded to the compute dtype, as separate Keras operations would;
// the sums are float64, cut by the problem alone. RESOURCE_EXHAUSTED without memory.
StatusOr<LinearGradient> DifferentiateActivation(WorkerPool& pool, BlockPool& memory,
                                                 const DeconvProblem& problem, ConstTensorView z,
                                                 Tensor diff_y);

}  // namespace tconv::server
