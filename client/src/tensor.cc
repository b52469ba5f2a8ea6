#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <tconv/tensor.h>

#include <algorithm>
#include <cstdint>

#include "client/src/memory_pool.h"

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

absl::StatusOr<size_t> SizeInBytes(const TensorInfo& info) {
  const size_t element_size = ElementSize(info.dtype);
  if (element_size == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "dtype: expected float32, float64, float16 or bfloat16, got ", DataTypeName(info.dtype)));
  }
  const absl::StatusOr<int64_t> count = ElementCount(info.shape);
  if (!count.ok()) return count.status();
  int64_t bytes = 0;
  if (__builtin_mul_overflow(*count, element_size, &bytes)) {
    return absl::InvalidArgumentError(absl::StrCat("shape: expected at most 2^63 - 1 bytes, got ",
                                                   ToString(info.shape), " of ",
                                                   DataTypeName(info.dtype)));
  }
  return static_cast<size_t>(bytes);
}

absl::StatusOr<Tensor> Tensor::FromMemory(v1::DataType dtype, Shape shape,
                                          std::span<const std::byte> bytes,
                                          std::shared_ptr<const void> owner) {
  Tensor tensor;
  tensor.info_ = {dtype, std::move(shape)};
  const absl::StatusOr<size_t> expected = SizeInBytes(tensor.info_);
  if (!expected.ok()) return expected.status();
  const size_t element_size = ElementSize(dtype);
  if (bytes.size() != *expected) {
    return absl::InvalidArgumentError(absl::StrCat(
        "data: expected ", *expected / element_size, " elements of ", element_size,
        " bytes for the shape ", ToString(tensor.shape()), ", got ", bytes.size(), " bytes"));
  }
  if (reinterpret_cast<uintptr_t>(bytes.data()) % element_size != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("data: expected an address that is a multiple of ", element_size, " bytes"));
  }
  tensor.bytes_ = bytes;
  tensor.owner_ = std::move(owner);
  return tensor;
}

absl::StatusOr<Tensor> Tensor::FromBytes(v1::DataType dtype, Shape shape, std::string bytes) {
  const auto owner = std::make_shared<const std::string>(std::move(bytes));
  return FromMemory(dtype, std::move(shape), std::as_bytes(std::span<const char>(*owner)), owner);
}

absl::StatusOr<Tensor> Tensor::CopyOf(TensorInfo info, std::span<const std::byte> bytes) {
  const absl::StatusOr<std::shared_ptr<std::byte>> memory = AllocateMemory(bytes.size());
  if (!memory.ok()) return memory.status();
  std::copy(bytes.begin(), bytes.end(), memory->get());
  return FromMemory(info.dtype, std::move(info.shape), {memory->get(), bytes.size()}, *memory);
}

absl::Status Tensor::CheckDtype(v1::DataType expected) const {
  if (dtype() == expected) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("dtype: expected ", DataTypeName(expected),
                                                 " elements, got ", DataTypeName(dtype())));
}

}  // namespace tconv
