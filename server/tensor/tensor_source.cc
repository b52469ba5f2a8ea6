#include "server/tensor/tensor_source.h"

namespace tconv::server {
namespace {

// `allocate(dtype)` gives a tensor of the shape of `source`.
template <typename Allocate>
StatusOr<Tensor> FetchInto(TensorSource& source, DType dtype, Allocate allocate) {
  TCONV_ASSIGN_OR_RETURN(Tensor fetched, allocate(source.dtype()));
  source.MoveTo(fetched.mutable_view().data);
  if (source.dtype() == dtype) return fetched;
  TCONV_ASSIGN_OR_RETURN(Tensor converted, allocate(dtype));
  Convert(fetched.view(), converted.mutable_view());
  return converted;
}

}  // namespace

StatusOr<Tensor> Fetch(TensorSource& source, DType dtype) {
  return FetchInto(source, dtype,
                   [&](DType type) { return Tensor::Allocate(type, source.shape()); });
}

StatusOr<Tensor> Fetch(TensorSource& source, DType dtype, BlockPool& pool) {
  return FetchInto(source, dtype,
                   [&](DType type) { return Tensor::Allocate(type, source.shape(), pool); });
}

}  // namespace tconv::server
