// Passes over the elements of large tensors, by all threads of the pool.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "server/base/status.h"
#include "server/compute/worker_pool.h"
#include "server/layer/geometry.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

// Enough to be worth a task, and little enough for the L2 cache.
inline constexpr int64_t kElementsPerRun = 16 << 10;

// Elements of a tensor that are passed over together. The cut depends on the tensor
// alone, never on the number of threads.
struct ElementRuns {
  // Runs of whole units.
  ElementRuns(int64_t all_elements, int64_t unit)
      : elements(all_elements), length(CeilDiv(kElementsPerRun, unit) * unit) {}

  int64_t count() const { return CeilDiv(elements, length); }
  int64_t first(int64_t run) const { return run * length; }
  int64_t size(int64_t run) const { return std::min(length, elements - first(run)); }

  int64_t elements;
  int64_t length;  // of each but the last
};

// Calls body(run, scratch), a Status(), for every run. A scratch holds
// `scratch_floats` for each element of a run.
template <typename Body>
Status ForEachRun(WorkerPool& pool, const ElementRuns& runs, size_t scratch_floats, Body body) {
  constexpr std::chrono::nanoseconds kTimeOfElement(1);
  return pool.Run(
      {.tasks = runs.count(),
       .scratch_bytes = static_cast<size_t>(runs.length) * scratch_floats * sizeof(float),
       .expected_time = runs.elements * kTimeOfElement},
      body);
}

// The elements of a run.
inline ConstTensorView ElementsOf(ConstTensorView tensor, const ElementRuns& runs, int64_t run) {
  const auto element_bytes = static_cast<int64_t>(SizeOf(tensor.dtype));
  return {tensor.dtype, Shape{runs.size(run)}, tensor.data + runs.first(run) * element_bytes};
}
inline TensorView ElementsOf(TensorView tensor, const ElementRuns& runs, int64_t run) {
  const auto element_bytes = static_cast<int64_t>(SizeOf(tensor.dtype));
  return {tensor.dtype, Shape{runs.size(run)}, tensor.data + runs.first(run) * element_bytes};
}

}  // namespace tconv::server
