// Views of vectors as tensors.
#pragma once

#include <vector>

#include "server/tensor/tensor.h"

namespace tconv::server {

template <typename T>
TensorView AsTensor(const Shape& shape, std::vector<T>& values) {
  return {DTypeOf<T>::value, shape, reinterpret_cast<std::byte*>(values.data())};
}

}  // namespace tconv::server
