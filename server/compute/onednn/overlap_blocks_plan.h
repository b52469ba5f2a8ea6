// The execution of overlap-add on channels_last. strategies.h has the strategy
// itself.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include <oneapi/dnnl/dnnl.hpp>

#include "server/compute/onednn/packed_weights.h"
#include "server/compute/onednn/runtime.h"
#include "server/compute/overlap_blocks.h"
#include "server/compute/strategy.h"
#include "server/compute/weave.h"
#include "server/compute/worker_pool.h"

namespace tconv::server {

// The product for one number of input positions.
struct BlockProduct {
  SharedPrimitive primitive;
  dnnl::memory::desc src_desc;   // [positions, in_channels]
  dnnl::memory::desc sums_desc;  // [positions, columns]
};

struct OverlapBlocksParts {
  std::map<std::pair<int64_t, int64_t>, BlockProduct> products;     // by (filters, positions)
  std::map<int64_t, std::shared_ptr<const PackedWeights>> weights;  // by first filter
};

// Sources of another type than `multiplied_as` are converted first.
std::unique_ptr<const ForwardPlan> MakeOverlapBlocksPlan(
    std::shared_ptr<const OneDnnRuntime> runtime, WorkerPool& pool, const DeconvProblem& problem,
    OverlapBlocks blocks, DType multiplied_as, OverlapBlocksParts parts, Weave weave);

}  // namespace tconv::server
