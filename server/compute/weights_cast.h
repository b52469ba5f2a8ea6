// Weights in the type that a layer computes in.
#pragma once

#include <utility>

#include "server/base/status.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

// Under a mixed policy weights are rounded to the compute dtype on use. This is
// `weight` rounded to `compute` and stored as `stored_as`, which holds every
// value of `compute`. Borrows `weight` when that changes nothing.
class CastWeight {
 public:
  // `weight` must outlive the result. RESOURCE_EXHAUSTED without memory.
  static StatusOr<CastWeight> Make(ConstTensorView weight, DType compute, DType stored_as);

  ConstTensorView view() const { return view_; }

 private:
  explicit CastWeight(ConstTensorView borrowed) : view_(borrowed) {}
  explicit CastWeight(Tensor owned) : owned_(std::move(owned)), view_(owned_.view()) {}

  Tensor owned_;
  ConstTensorView view_;
};

}  // namespace tconv::server
