#include "formats/array.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "formats/status.h"

namespace tconv::formats {

size_t SizeOf(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return 4;
    case DType::kFloat64:
      return 8;
    case DType::kFloat16:
    case DType::kBFloat16:
      return 2;
  }
  return 0;
}

std::string_view NameOf(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return "float32";
    case DType::kFloat64:
      return "float64";
    case DType::kFloat16:
      return "float16";
    case DType::kBFloat16:
      return "bfloat16";
  }
  return "";
}

std::string ToString(const Shape& shape) {
  return fmt::format("({}{})", fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
}

absl::StatusOr<size_t> SizeInBytes(DType dtype, const Shape& shape) {
  size_t bytes = SizeOf(dtype);
  bool is_empty = false;
  bool overflows = false;
  for (const int64_t extent : shape) {
    if (extent < 0) return Malformed("expected extents from 0 on, got {}", ToString(shape));
    is_empty |= extent == 0;
    overflows |= __builtin_mul_overflow(bytes, static_cast<size_t>(extent), &bytes);
  }
  if (is_empty) return 0;
  if (overflows || bytes > std::numeric_limits<int64_t>::max()) {
    return Malformed("expected less than 2^63 bytes, got {}", ToString(shape));
  }
  return bytes;
}

absl::StatusOr<Array> MakeArray(DType dtype, Shape shape, std::span<const std::byte> bytes,
                                std::shared_ptr<const void> owner) {
  TCONV_FORMATS_ASSIGN_OR_RETURN(const size_t expected, SizeInBytes(dtype, shape));
  if (bytes.size() != expected) {
    return Malformed("expected {} bytes for {} {}, got {}", expected, NameOf(dtype),
                     ToString(shape), bytes.size());
  }
  if (reinterpret_cast<uintptr_t>(bytes.data()) % SizeOf(dtype) != 0) {
    std::string copy(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return MakeArray(dtype, std::move(shape), std::move(copy));
  }
  return Array{dtype, std::move(shape), bytes, std::move(owner)};
}

absl::StatusOr<Array> MakeArray(DType dtype, Shape shape, std::string bytes) {
  const auto owner = std::make_shared<const std::string>(std::move(bytes));
  return MakeArray(dtype, std::move(shape), std::as_bytes(std::span(*owner)), owner);
}

Array Transposed(const Array& array, const std::vector<size_t>& order) {
  const size_t rank = order.size();
  const size_t element_bytes = SizeOf(array.dtype);
  std::vector<size_t> old_strides(rank, element_bytes);
  for (size_t axis = rank; axis-- > 1;) {
    old_strides[axis - 1] = old_strides[axis] * static_cast<size_t>(array.shape[axis]);
  }
  Array result{array.dtype, Shape(rank), {}, {}};
  std::vector<size_t> strides(rank);
  for (size_t axis = 0; axis < rank; ++axis) {
    result.shape[axis] = array.shape[order[axis]];
    strides[axis] = old_strides[order[axis]];
  }
  const auto elements = std::make_shared<std::vector<std::byte>>(array.bytes.size());
  std::vector<int64_t> index(rank, 0);
  size_t source = 0;
  for (size_t target = 0; target < elements->size(); target += element_bytes) {
    std::copy_n(&array.bytes[source], element_bytes, &(*elements)[target]);
    for (size_t axis = rank; axis-- > 0;) {
      source += strides[axis];
      if (++index[axis] < result.shape[axis]) break;
      source -= strides[axis] * static_cast<size_t>(result.shape[axis]);
      index[axis] = 0;
    }
  }
  result.bytes = *elements;
  result.owner = elements;
  return result;
}

}  // namespace tconv::formats
