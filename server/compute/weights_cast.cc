#include "server/compute/weights_cast.h"

namespace tconv::server {

StatusOr<CastWeight> CastWeight::Make(ConstTensorView weight, DType compute, DType stored_as) {
  if (weight.dtype == compute && compute == stored_as) return CastWeight(weight);
  if (weight.dtype == compute) {
    TCONV_ASSIGN_OR_RETURN(Tensor wide, Tensor::Converted(weight, stored_as));
    return CastWeight(std::move(wide));
  }
  TCONV_ASSIGN_OR_RETURN(Tensor rounded, Tensor::Converted(weight, compute));
  if (compute == stored_as) return CastWeight(std::move(rounded));
  TCONV_ASSIGN_OR_RETURN(Tensor wide, Tensor::Converted(rounded.view(), stored_as));
  return CastWeight(std::move(wide));
}

}  // namespace tconv::server
