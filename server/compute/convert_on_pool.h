// Conversion of large tensors, by all threads of the pool.
#pragma once

#include <cstdint>

#include "server/base/status.h"
#include "server/compute/worker_pool.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

// As Convert().
Status ConvertOnPool(WorkerPool& pool, ConstTensorView src, TensorView dst);

// A new tensor with the elements of `source` in `dtype`. RESOURCE_EXHAUSTED without
// memory.
StatusOr<Tensor> ConvertedOnPool(WorkerPool& pool, ConstTensorView source, DType dtype);

// Images of planes, [batch, channels, positions...], as images of pixels, [batch,
// positions..., channels], and back. The types may differ if one of both is float32.
// REQUIRES: equal element counts; no overlap.
Status PlanesToPixels(WorkerPool& pool, ConstTensorView planes, int64_t batch, int64_t channels,
                      TensorView pixels);
Status PixelsToPlanes(WorkerPool& pool, ConstTensorView pixels, int64_t batch, int64_t channels,
                      TensorView planes);

}  // namespace tconv::server
