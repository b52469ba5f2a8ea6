// Forwards of one layer that are computed as one.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "server/base/status.h"
#include "server/compute/plan_cache.h"
#include "server/host/forward_job.h"
#include "server/host/slab_computation.h"
#include "server/layer/weights.h"

namespace tconv::server {

// A job that can be computed, and how it would be alone.
struct ReadyForward {
  ForwardJob* job = nullptr;
  DeconvProblem problem;
  // Null when the output has no elements.
  std::shared_ptr<const SlabComputation> computation;
  std::shared_ptr<const CachedPlan> plan;  // of the first slab
};

// Jobs that are computed together, a part of a vector.
using ForwardBatch = std::span<const ReadyForward>;

// Reorders `jobs`, of one layer with one state of its weights, and cuts them into
// batches. Those of a batch have the same problem and are computed by the strategy
// of each alone, if it takes them all at once, to the same last bit. No output of
// a batch is larger than `max_output_bytes` unless it is a job's own. What is
// computed in several slabs, or into room of the caller, is computed alone.
//
// The number of jobs in a batch is one of few: each number of images has a plan of
// its own, to be compiled and kept, and the packed weights alone are shared. The
// steps are small enough that little is left over for a further batch, which has
// to read the weights again.
std::vector<ForwardBatch> FormBatches(std::vector<ReadyForward>& jobs, int64_t max_output_bytes);

// Computes the results of a batch, without their losses, and notes the time of the
// whole for each job. They share one output, in the room that a job has for it or
// else in `memory`. Unless OK no job has a result; RESOURCE_EXHAUSTED before any
// input was fetched.
Status ComputeBatch(PlanCache& plans, BlockPool& memory,
                    const std::shared_ptr<const Weights>& weights, ForwardBatch batch);

}  // namespace tconv::server
