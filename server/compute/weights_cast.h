// Weights in the type that a layer computes in.
#pragma once

#include <optional>
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

// A cast that is made when it is first asked for: to cast a kernel takes longer
// than to compile a plan that finds all of its weights packed.
class LazyCastWeight {
 public:
  // As CastWeight::Make(); the weight must outlive this.
  LazyCastWeight(ConstTensorView weight, DType compute, DType stored_as)
      : weight_(weight), compute_(compute), stored_as_(stored_as) {}

  StatusOr<ConstTensorView> view() {
    if (!cast_.has_value()) {
      TCONV_ASSIGN_OR_RETURN(cast_, CastWeight::Make(weight_, compute_, stored_as_));
    }
    return cast_->view();
  }

 private:
  const ConstTensorView weight_;
  const DType compute_;
  const DType stored_as_;
  std::optional<CastWeight> cast_;
};

}  // namespace tconv::server
