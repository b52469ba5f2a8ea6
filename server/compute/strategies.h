// Every way to compute that this build has.
#pragma once

#include <memory>
#include <vector>

#include "server/base/status.h"
#include "server/compute/strategy.h"
#include "server/compute/worker_pool.h"

namespace tconv::server {

class OneDnnRuntime;

// All strategies; of equal estimates the first wins. The reference, which takes every
// problem, is last. They and their plans compute on `pool`, which must outlive
// them. INTERNAL when oneDNN cannot be used at all.
StatusOr<std::vector<std::unique_ptr<const Strategy>>> MakeStrategies(WorkerPool& pool);

// "phase_conv": each output phase is a dense convolution, woven into the output.
std::unique_ptr<const Strategy> MakePhaseConvStrategy(std::shared_ptr<const OneDnnRuntime> runtime,
                                                      WorkerPool& pool);

// "overlap_add": one matrix product per tile, then sums of its shifted rows.
std::unique_ptr<const Strategy> MakeOverlapAddStrategy(std::shared_ptr<const OneDnnRuntime> runtime,
                                                       WorkerPool& pool);

// "in_place_matmul": one matrix product per row, where windows do not overlap.
std::unique_ptr<const Strategy> MakeInPlaceMatmulStrategy(
    std::shared_ptr<const OneDnnRuntime> runtime, WorkerPool& pool);

// "weight_stream": small images under large weights, which are read once.
std::unique_ptr<const Strategy> MakeWeightStreamStrategy(WorkerPool& pool);

// "deconvolution": oneDNN's own deconvolution primitive, images in parallel.
std::unique_ptr<const Strategy> MakeDeconvolutionStrategy(
    std::shared_ptr<const OneDnnRuntime> runtime, WorkerPool& pool);

// "reference": plain loops on the calling thread. Accumulates in float64 and
// rounds to the dtype of the problem once after each of convolution, bias and
// activation, so that it is the oracle for every other strategy.
std::unique_ptr<const Strategy> MakeReferenceStrategy();

}  // namespace tconv::server
