// Vectors, and what element types do to values.
//
// One of the parts of weave_kernels_isa.cc, which is compiled once for each
// instruction set: all of it has internal linkage, or the linker could keep the
// copy of the widest instruction set for all callers.
#pragma once

#include "server/compute/weave_kernels.h"

namespace tconv::server {
namespace {

#if defined(__AVX512F__)
constexpr size_t kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr size_t kVectorBytes = 32;
#else
constexpr size_t kVectorBytes = 16;
#endif
typedef float Vector __attribute__((vector_size(kVectorBytes)));
constexpr size_t kLanes = kVectorBytes / sizeof(float);

inline uint32_t BitsOf(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof(bits));
  return bits;
}

inline float FloatOf(uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, sizeof(value));
  return value;
}

// As ToBFloat16(), without branches.
inline uint16_t NarrowToBFloat16(float value) {
  const uint32_t bits = BitsOf(value);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const uint32_t quiet_nan = (bits >> 16) | 0x0040u;
  return static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet_nan : rounded);
}

// What a value of type T goes through: Store() narrows, Round() narrows and
// widens again.
template <typename T>
struct Format;

template <>
struct Format<float> {
  static float Round(float value) { return value; }
  static void Store(float value, float& dst) { dst = value; }
};

template <>
struct Format<BFloat16> {
  static float Round(float value) { return FloatOf(uint32_t{NarrowToBFloat16(value)} << 16); }
  static void Store(float value, BFloat16& dst) { dst.bits = NarrowToBFloat16(value); }
};

template <>
struct Format<Float16> {
  static float Round(float value) { return ToFloat(ToFloat16(value)); }
  static void Store(float value, Float16& dst) { dst = ToFloat16(value); }
};

inline Vector All(float value) { return Vector{} + value; }

// Calls visitor with a value of the type of `dtype`.
template <typename Visitor>
inline void VisitType(DType dtype, Visitor visitor) {
  switch (dtype) {
    case DType::kFloat32:
      return visitor(float{});
    case DType::kFloat16:
      return visitor(Float16{});
    case DType::kBFloat16:
      return visitor(BFloat16{});
    case DType::kFloat64:
      return;  // excluded by the rule
  }
}

}  // namespace
}  // namespace tconv::server
