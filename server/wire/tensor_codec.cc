#include "server/wire/tensor_codec.h"

#include <utility>

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

// v1::Tensor and v1::TensorHeader say it in the same words.
template <typename Header>
StatusOr<TensorType> TypeOf(const Header& header) {
  TCONV_ASSIGN_OR_RETURN(const DType dtype, DTypeFromProto(header.dtype()));
  const StatusOr<Shape> shape =
      Shape::Make({header.shape().data(), static_cast<size_t>(header.shape_size())});
  if (!shape.ok()) return InvalidField("shape", std::string(shape.status().message()));
  return TensorType{dtype, *shape};
}

template <typename Header>
void ToHeader(ConstTensorView tensor, Header* out) {
  const auto dims = tensor.shape.dims();
  out->set_dtype(ToProto(tensor.dtype));
  out->mutable_shape()->Assign(dims.begin(), dims.end());
}

}  // namespace

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

StatusOr<TensorType> TypeFromProto(const v1::Tensor& tensor) { return TypeOf(tensor); }
StatusOr<TensorType> TypeFromProto(const v1::TensorHeader& header) { return TypeOf(header); }

void ToProto(ConstTensorView tensor, v1::Tensor* out) { ToHeader(tensor, out); }
void ToProto(ConstTensorView tensor, v1::TensorHeader* out) { ToHeader(tensor, out); }

void ToProto(const WeightTensors& tensors, v1::Weights* out) {
  ToProto(tensors.kernel.view(), out->mutable_kernel());
  if (tensors.bias.has_value()) ToProto(tensors.bias->view(), out->mutable_bias());
}

codec::Payload PayloadOf(ConstTensorView tensor, std::shared_ptr<const void> owner) {
  return {std::move(owner), tensor.data, static_cast<size_t>(tensor.size_bytes())};
}

StatusOr<ReceivedTensor> ReceivedTensor::Make(const v1::Tensor& tensor, codec::FieldPath path,
                                              codec::ReceivedPayloads& payloads) {
  TCONV_ASSIGN_OR_RETURN(TensorType type, TypeFromProto(tensor));
  if (tensor.has_region()) return InvalidField("region", "expected the elements in `data`");
  std::vector<int> data_path(path.begin(), path.end());
  data_path.push_back(v1::Tensor::kDataFieldNumber);
  return Make(std::move(type), data_path, "data", payloads);
}

StatusOr<ReceivedTensor> ReceivedTensor::Make(TensorType type, codec::FieldPath path,
                                              std::string_view field,
                                              codec::ReceivedPayloads& payloads) {
  const auto size_bytes = static_cast<int64_t>(payloads.size_bytes(path));
  if (size_bytes != type.size_bytes()) {
    return InvalidField(field, "expected {} bytes for {} {}, got {}", type.size_bytes(),
                        NameOf(type.dtype), ToString(type.shape), size_bytes);
  }
  return ReceivedTensor(std::move(type), {path.begin(), path.end()}, payloads);
}

StatusOr<ReceivedWeights> ReceivedWeights::Make(const v1::Weights& weights, codec::FieldPath path,
                                                codec::ReceivedPayloads& payloads) {
  const auto make = [&](const v1::Tensor& tensor, int number) {
    std::vector<int> tensor_path(path.begin(), path.end());
    tensor_path.push_back(number);
    return ReceivedTensor::Make(tensor, tensor_path, payloads);
  };
  if (!weights.has_kernel()) return InvalidField("kernel", "expected a tensor, got none");
  auto kernel = make(weights.kernel(), v1::Weights::kKernelFieldNumber);
  if (!kernel.ok()) return InField("kernel", kernel.status());
  if (!weights.has_bias()) return ReceivedWeights(*std::move(kernel), std::nullopt);

  auto bias = make(weights.bias(), v1::Weights::kBiasFieldNumber);
  if (!bias.ok()) return InField("bias", bias.status());
  return ReceivedWeights(*std::move(kernel), *std::move(bias));
}

}  // namespace tconv::server
