#include "client/cli/array_tensor.h"

#include <fmt/format.h>

#include <span>

namespace tconv::cli {
namespace {

struct TypePair {
  formats::DType in_file;
  v1::DataType in_tensor;
};
constexpr TypePair kTypes[] = {
    {formats::DType::kFloat32, v1::DATA_TYPE_FLOAT32},
    {formats::DType::kFloat64, v1::DATA_TYPE_FLOAT64},
    {formats::DType::kFloat16, v1::DATA_TYPE_FLOAT16},
    {formats::DType::kBFloat16, v1::DATA_TYPE_BFLOAT16},
};

}  // namespace

absl::StatusOr<Tensor> ToTensor(const formats::Array& array) {
  v1::DataType dtype = v1::DATA_TYPE_UNSPECIFIED;
  for (const TypePair& type : kTypes) {
    if (type.in_file == array.dtype) dtype = type.in_tensor;
  }
  return Tensor::FromMemory(dtype, array.shape, array.bytes, array.owner);
}

absl::StatusOr<formats::Array> ToArray(const Tensor& tensor) {
  for (const TypePair& type : kTypes) {
    if (type.in_tensor != tensor.dtype()) continue;
    return formats::Array{type.in_file, tensor.shape(), std::as_bytes(std::span(tensor.bytes())),
                          tensor.owner()};
  }
  return absl::InvalidArgumentError(
      fmt::format("dtype: expected a known type, got {}", DataTypeName(tensor.dtype())));
}

std::string FormatArray(const formats::Array& array) {
  return fmt::format("{} {}", formats::NameOf(array.dtype), formats::ToString(array.shape));
}

Json DescribeArray(const formats::Array& array) {
  return {{"dtype", formats::NameOf(array.dtype)}, {"shape", array.shape}};
}

}  // namespace tconv::cli
