#include "server/wire/tensor_codec.h"

#include <cstddef>

namespace tconv::server {
namespace {

StatusOr<DType> DTypeFromProto(v1::DataType dtype) {
  switch (dtype) {
    case v1::DATA_TYPE_FLOAT32:
      return DType::kFloat32;
    case v1::DATA_TYPE_FLOAT64:
      return DType::kFloat64;
    case v1::DATA_TYPE_FLOAT16:
      return DType::kFloat16;
    case v1::DATA_TYPE_BFLOAT16:
      return DType::kBFloat16;
    default:
      return InvalidField("dtype", "expected a floating-point type, got the value {}",
                          static_cast<int>(dtype));
  }
}

v1::DataType ToProto(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return v1::DATA_TYPE_FLOAT32;
    case DType::kFloat64:
      return v1::DATA_TYPE_FLOAT64;
    case DType::kFloat16:
      return v1::DATA_TYPE_FLOAT16;
    case DType::kBFloat16:
      return v1::DATA_TYPE_BFLOAT16;
  }
  return v1::DATA_TYPE_UNSPECIFIED;
}

}  // namespace

StatusOr<ConstTensorView> ViewOf(const v1::Tensor& tensor) {
  TCONV_ASSIGN_OR_RETURN(const DType dtype, DTypeFromProto(tensor.dtype()));
  const StatusOr<Shape> shape =
      Shape::Make({tensor.shape().data(), static_cast<size_t>(tensor.shape_size())});
  if (!shape.ok()) return InvalidField("shape", std::string(shape.status().message()));

  const ConstTensorView view{dtype, *shape,
                             reinterpret_cast<const std::byte*>(tensor.data().data())};
  const auto size_bytes = static_cast<int64_t>(tensor.data().size());
  if (size_bytes != view.size_bytes()) {
    return InvalidField("data", "expected {} bytes for {} {}, got {}", view.size_bytes(),
                        NameOf(dtype), ToString(*shape), size_bytes);
  }
  return view;
}

void ToProto(ConstTensorView tensor, v1::Tensor* out) {
  const auto dims = tensor.shape.dims();
  out->set_dtype(ToProto(tensor.dtype));
  out->mutable_shape()->Assign(dims.begin(), dims.end());
  out->set_data(tensor.data, static_cast<size_t>(tensor.size_bytes()));
}

void ToProto(const Weights& weights, v1::Weights* out) {
  ToProto(weights.kernel.view(), out->mutable_kernel());
  out->clear_bias();
  if (weights.bias.has_value()) ToProto(weights.bias->view(), out->mutable_bias());
}

}  // namespace tconv::server
