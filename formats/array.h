// Arrays, as files hold them.
#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tconv::formats {

enum class DType : uint8_t { kFloat32, kFloat64, kFloat16, kBFloat16 };

size_t SizeOf(DType dtype);
std::string_view NameOf(DType dtype);  // "float32", ...

// Extents, outermost first.
using Shape = std::vector<int64_t>;

// "(2, 3)", "(3,)", "()": as numpy writes it.
std::string ToString(const Shape& shape);

// Little-endian elements in row-major (C) order, at an address that is a multiple of
// the size of one. They are shared: nobody changes them while `owner` lives.
struct Array {
  DType dtype = DType::kFloat32;
  Shape shape = {};
  std::span<const std::byte> bytes = {};
  std::shared_ptr<const void> owner = {};
};

// The arrays of a file by their names; an error tells why what lies under a name is
// not one that a layer can have, such as integers.
using Arrays = std::map<std::string, absl::StatusOr<Array>>;

// The bytes of such an array. INVALID_ARGUMENT: a negative extent, or 2^63 bytes and more.
absl::StatusOr<size_t> SizeInBytes(DType dtype, const Shape& shape);

// An array of `bytes`, which `owner` keeps; of a copy where they are not aligned.
// INVALID_ARGUMENT: not as many bytes as type and shape need.
absl::StatusOr<Array> MakeArray(DType dtype, Shape shape, std::span<const std::byte> bytes,
                                std::shared_ptr<const void> owner);
absl::StatusOr<Array> MakeArray(DType dtype, Shape shape, std::string bytes);

// The array with axis order[i] of the old one as axis i, as numpy.transpose() has it.
// REQUIRES: a permutation of the axes.
Array Transposed(const Array& array, const std::vector<size_t>& order);

}  // namespace tconv::formats
