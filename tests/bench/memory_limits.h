// How fast this machine moves memory, as contenders to measure beside the
// computations that it bounds.
#pragma once

#include <cstdint>

#include "server/compute/worker_pool.h"
#include "tests/bench/contenders.h"

namespace tconv::bench {

// Reads `bytes`, the same each time, so that what fits into a cache comes from
// there, as weights do. `pool` must outlive it. RESOURCE_EXHAUSTED.
server::StatusOr<Contender> MakeReadContender(server::WorkerPool& pool, int64_t bytes);

// Reads `src_bytes` and writes `dst_bytes`, as a computation must that does
// nothing else. `pool` must outlive it. RESOURCE_EXHAUSTED.
server::StatusOr<Contender> MakeReadWriteContender(server::WorkerPool& pool, int64_t src_bytes,
                                                   int64_t dst_bytes);

}  // namespace tconv::bench
