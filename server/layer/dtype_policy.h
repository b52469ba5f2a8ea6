// The dtype policies of Keras.
#pragma once

#include <string>
#include <string_view>

#include "server/base/status.h"
#include "server/tensor/dtype.h"

namespace tconv::server {

// The type of the weights, and the type that the layer computes in and answers
// with.
struct DTypePolicy {
  std::string name = "float32";
  DType variable = DType::kFloat32;
  DType compute = DType::kFloat32;

  friend bool operator==(const DTypePolicy&, const DTypePolicy&) = default;
};

// "float32", "float64", "float16", "bfloat16", "mixed_float16" or
// "mixed_bfloat16"; INVALID_ARGUMENT about `dtype` for any other name.
StatusOr<DTypePolicy> ParseDTypePolicy(std::string_view name);

}  // namespace tconv::server
