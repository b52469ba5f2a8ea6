// Every way to compute gradients that this build has.
#pragma once

#include <memory>
#include <vector>

#include "server/base/status.h"
#include "server/compute/backward_plan.h"
#include "server/compute/worker_pool.h"

namespace tconv::server {

class OneDnnRuntime;

// All strategies; of equal estimates the first wins. The reference, which takes every
// problem, is last. They and their plans compute on `pool`, which must outlive
// them. INTERNAL when oneDNN cannot be used at all.
StatusOr<std::vector<std::unique_ptr<const BackwardStrategy>>> MakeBackwardStrategies(
    WorkerPool& pool);

// "convolution": oneDNN's convolutions, for stride 1 and kernels of some kilobytes.
std::unique_ptr<const BackwardStrategy> MakeConvolutionBackwardStrategy(
    std::shared_ptr<const OneDnnRuntime> runtime, WorkerPool& pool);

// "window_matmul": matrix products with the windows of outputs that inputs reach.
std::unique_ptr<const BackwardStrategy> MakeWindowMatmulStrategy(WorkerPool& pool);

// "reference": plain loops on the calling thread with float64 sums, the oracle for
// every other strategy.
std::unique_ptr<const BackwardStrategy> MakeReferenceBackwardStrategy();

}  // namespace tconv::server
