// Elements of tensors as numbers.
#pragma once

#include <tconv/tensor.h>

#include <cstddef>

namespace tconv::cli {

// The element at an index in row-major order, exactly. REQUIRES: one of the four types.
double ValueAt(const Tensor& tensor, size_t index);

}  // namespace tconv::cli
