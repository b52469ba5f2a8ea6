#include "server/tensor/dtype.h"

#include <bit>
#include <cmath>

namespace tconv::server {

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

float ToFloat(BFloat16 value) { return std::bit_cast<float>(uint32_t{value.bits} << 16); }

BFloat16 ToBFloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return BFloat16{static_cast<uint16_t>((bits >> 16) | 0x0040u)};
  // Adding just under half of the last kept place, plus one when that place is
  // odd, carries exactly when the value rounds up; the largest finite values
  // carry into infinity.
  const uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  return BFloat16{static_cast<uint16_t>(rounded >> 16)};
}

float ToFloat(Float16 value) {
  const uint32_t sign = uint32_t{value.bits & 0x8000u} << 16;
  const uint32_t exponent = (value.bits >> 10) & 0x1fu;
  const uint32_t mantissa = value.bits & 0x3ffu;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent == 0) {
    // Zero or subnormal: mantissa * 2^-24, exact in binary32.
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return sign != 0 ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | ((exponent + 112u) << 23) | (mantissa << 13));
}

Float16 ToFloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  if (std::isnan(value)) {
    return Float16{static_cast<uint16_t>(sign | 0x7e00u | ((bits >> 13) & 0x1ffu))};
  }
  const float magnitude = std::fabs(value);
  if (magnitude >= 65520.0f) return Float16{static_cast<uint16_t>(sign | 0x7c00u)};
  if (magnitude < 0x1p-14f) {
    // Subnormal: adding 0.5 leaves a binary32 whose last place is 2^-24, so the
    // addition itself rounds to nearest even.
    const uint32_t shifted = std::bit_cast<uint32_t>(magnitude + 0.5f);
    return Float16{static_cast<uint16_t>(sign | (shifted - std::bit_cast<uint32_t>(0.5f)))};
  }
  const uint32_t rebased = std::bit_cast<uint32_t>(magnitude) - (112u << 23);
  const uint32_t rounded = rebased + 0xfffu + ((rebased >> 13) & 1u);
  return Float16{static_cast<uint16_t>(sign | (rounded >> 13))};
}

double RoundTo(DType dtype, double value) {
  switch (dtype) {
    case DType::kFloat32:
      return static_cast<float>(value);
    case DType::kFloat64:
      return value;
    case DType::kFloat16:
      return ToFloat(ToFloat16(static_cast<float>(value)));
    case DType::kBFloat16:
      return ToFloat(ToBFloat16(static_cast<float>(value)));
  }
  return value;
}

}  // namespace tconv::server
