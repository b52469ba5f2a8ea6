#include "server/tensor/tensor_source.h"

namespace tconv::server {

StatusOr<Tensor> Fetch(TensorSource& source, DType dtype) {
  TCONV_ASSIGN_OR_RETURN(Tensor fetched, Tensor::Allocate(source.dtype(), source.shape()));
  source.MoveTo(fetched.mutable_view().data);
  if (source.dtype() == dtype) return fetched;
  return Tensor::Converted(fetched.view(), dtype);
}

StatusOr<Tensor> Fetch(TensorSource& source, DType dtype, BlockPool& pool) {
  TCONV_ASSIGN_OR_RETURN(Tensor fetched, Tensor::Allocate(source.dtype(), source.shape(), pool));
  source.MoveTo(fetched.mutable_view().data);
  if (source.dtype() == dtype) return fetched;
  TCONV_ASSIGN_OR_RETURN(Tensor converted, Tensor::Allocate(dtype, source.shape(), pool));
  Convert(fetched.view(), converted.mutable_view());
  return converted;
}

}  // namespace tconv::server
