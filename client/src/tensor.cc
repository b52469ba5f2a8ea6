#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <tconv/tensor.h>

namespace tconv {

size_t ElementSize(v1::DataType dtype) {
  switch (dtype) {
    case v1::DATA_TYPE_FLOAT16:
    case v1::DATA_TYPE_BFLOAT16:
      return 2;
    case v1::DATA_TYPE_FLOAT32:
      return 4;
    case v1::DATA_TYPE_FLOAT64:
      return 8;
    default:
      return 0;
  }
}

std::string DataTypeName(v1::DataType dtype) {
  switch (dtype) {
    case v1::DATA_TYPE_FLOAT16:
      return "float16";
    case v1::DATA_TYPE_BFLOAT16:
      return "bfloat16";
    case v1::DATA_TYPE_FLOAT32:
      return "float32";
    case v1::DATA_TYPE_FLOAT64:
      return "float64";
    default:
      return "unspecified";
  }
}

std::string ToString(std::span<const int64_t> shape) {
  return absl::StrCat("(", absl::StrJoin(shape.begin(), shape.end(), ", "),
                      shape.size() == 1 ? ",)" : ")");
}

absl::StatusOr<int64_t> ElementCount(std::span<const int64_t> shape) {
  // A zero anywhere makes the product zero, whatever overflows before it.
  bool has_zero = false;
  bool overflows = false;
  int64_t count = 1;
  for (const int64_t extent : shape) {
    if (extent < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("shape: expected no negative extent, got ", ToString(shape)));
    }
    has_zero |= extent == 0;
    overflows |= __builtin_mul_overflow(count, extent, &count);
  }
  if (has_zero) return 0;
  if (overflows) {
    return absl::InvalidArgumentError(
        absl::StrCat("shape: expected at most 2^63 - 1 elements, got ", ToString(shape)));
  }
  return count;
}

absl::StatusOr<Tensor> Tensor::FromBytes(v1::DataType dtype, Shape shape, std::string bytes) {
  const size_t element_size = ElementSize(dtype);
  if (element_size == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "dtype: expected float32, float64, float16 or bfloat16, got ", DataTypeName(dtype)));
  }
  const absl::StatusOr<int64_t> count = ElementCount(shape);
  if (!count.ok()) return count.status();
  if (bytes.size() % element_size != 0 ||
      bytes.size() / element_size != static_cast<size_t>(*count)) {
    return absl::InvalidArgumentError(
        absl::StrCat("data: expected ", *count, " elements of ", element_size,
                     " bytes for the shape ", ToString(shape), ", got ", bytes.size(), " bytes"));
  }
  v1::Tensor proto;
  proto.set_dtype(dtype);
  proto.mutable_shape()->Assign(shape.begin(), shape.end());
  proto.set_data(std::move(bytes));
  return Tensor(std::move(proto));
}

Tensor Tensor::FromProto(v1::Tensor proto) { return Tensor(std::move(proto)); }

absl::Status Tensor::CheckDtype(v1::DataType expected) const {
  if (dtype() == expected) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("dtype: expected ", DataTypeName(expected),
                                                 " elements, got ", DataTypeName(dtype())));
}

}  // namespace tconv
