// Element types, and the two 16-bit formats that C++20 has no type for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tconv::server {

enum class DType : uint8_t { kFloat32, kFloat64, kFloat16, kBFloat16 };

size_t SizeOf(DType dtype);
std::string_view NameOf(DType dtype);  // "float32", ...

// IEEE 754 binary16.
struct Float16 {
  uint16_t bits;
};

// The upper half of a binary32.
struct BFloat16 {
  uint16_t bits;
};

// Widening is exact; narrowing rounds to nearest even, overflows to infinity,
// keeps the sign of zero and makes every NaN a quiet NaN.
float ToFloat(Float16 value);
float ToFloat(BFloat16 value);
Float16 ToFloat16(float value);
BFloat16 ToBFloat16(float value);

// The value of `dtype` that `value` rounds to.
double RoundTo(DType dtype, double value);

template <typename T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::kFloat32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::kFloat64;
};
template <>
struct DTypeOf<Float16> {
  static constexpr DType value = DType::kFloat16;
};
template <>
struct DTypeOf<BFloat16> {
  static constexpr DType value = DType::kBFloat16;
};

}  // namespace tconv::server
