// Conversion of large tensors, by all threads of the pool.
#pragma once

#include "server/base/status.h"
#include "server/compute/worker_pool.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

// As Convert().
Status ConvertOnPool(WorkerPool& pool, ConstTensorView src, TensorView dst);

// A new tensor with the elements of `source` in `dtype`. RESOURCE_EXHAUSTED without
// memory.
StatusOr<Tensor> ConvertedOnPool(WorkerPool& pool, ConstTensorView source, DType dtype);

}  // namespace tconv::server
