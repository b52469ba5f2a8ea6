// Weights in the layout of a primitive, shared by plans.
#pragma once

#include <memory>

#include <oneapi/dnnl/dnnl.hpp>

#include "server/base/shared_part.h"
#include "server/compute/packed_index.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

struct PackedWeights {
  Tensor data;
  dnnl::memory::desc desc;
};

// Null is a part of no bytes.
inline SharedPart AsSharedPart(const std::shared_ptr<const PackedWeights>& weights) {
  return {weights.get(), weights == nullptr ? 0 : weights->data.size_bytes()};
}

template <typename Part>
using PackedWeightsIndex = PackedIndex<PackedWeights, Part>;

}  // namespace tconv::server
