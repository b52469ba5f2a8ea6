// The execution of overlap-add on channels_first. strategies.h has the strategy itself.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include <oneapi/dnnl/dnnl.hpp>

#include "server/compute/onednn/packed_weights.h"
#include "server/compute/onednn/runtime.h"
#include "server/compute/overlap_layout.h"
#include "server/compute/strategy.h"
#include "server/compute/weave.h"
#include "server/compute/worker_pool.h"

namespace tconv::server {

// The product for one tile size.
struct TileProduct {
  SharedPrimitive primitive;
  dnnl::memory::desc kernel_desc;  // [taps * filters, in_channels]
  dnnl::memory::desc src_desc;     // [in_channels, positions]
  dnnl::memory::desc sums_desc;    // [taps * filters, positions]
};

// Products by (filters, positions).
using TileProducts = std::map<std::pair<int64_t, int64_t>, TileProduct>;

// The plan for a layout. The kernel, [filter set][live tap][filter][in_channels]
// in the type `multiplied_as`, is `packed`, or that of `weights` when `packed` is
// null. Sources of another type are converted first.
std::unique_ptr<const ForwardPlan> MakeOverlapPlanesPlan(
    std::shared_ptr<const OneDnnRuntime> runtime, WorkerPool& pool, const DeconvProblem& problem,
    OverlapLayout layout, DType multiplied_as, TileProducts products,
    std::shared_ptr<const Weights> weights, std::shared_ptr<const PackedWeights> packed,
    Weave weave);

}  // namespace tconv::server
