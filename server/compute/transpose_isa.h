// Transpositions by squares that stay in registers.
//
// One of the parts of weave_kernels_isa.cc, which is compiled once for each
// instruction set: all of it has internal linkage, or the linker could keep the
// copy of the widest instruction set for all callers.
#pragma once

#include <utility>

#include "server/compute/weave_formats_isa.h"

namespace tconv::server {
namespace {

// Elements on their way through a transposition: 32 bits that no step but the
// first and the last looks at.
template <typename From, typename To>
struct Lane {
  static uint32_t Load(From value) { return BitsOf(ToFloat(value)); }
  static void Store(uint32_t lane, To& dst) { dst = FloatOf(lane); }
};

template <typename To>
struct Lane<float, To> {
  static uint32_t Load(float value) { return BitsOf(value); }
  static void Store(uint32_t lane, To& dst) { Format<To>::Store(FloatOf(lane), dst); }
};

template <>
struct Lane<BFloat16, float> {
  static uint32_t Load(BFloat16 value) { return uint32_t{value.bits} << 16; }
  static void Store(uint32_t lane, float& dst) { dst = FloatOf(lane); }
};

template <typename Narrow>
struct SameLane {
  static uint32_t Load(Narrow value) { return value.bits; }
  static void Store(uint32_t lane, Narrow& dst) { dst.bits = static_cast<uint16_t>(lane); }
};
template <>
struct Lane<BFloat16, BFloat16> : SameLane<BFloat16> {};
template <>
struct Lane<Float16, Float16> : SameLane<Float16> {};

// A square of kSide x kSide elements in kSide vectors.
template <size_t kSide>
struct Square {
  typedef uint32_t Row __attribute__((vector_size(kSide * sizeof(uint32_t))));
  using LaneIndices = std::make_index_sequence<kSide>;

  // The halves of a0 b0 a1 b1 ...
  template <size_t... kLane>
  static Row LowerHalf(Row a, Row b, std::index_sequence<kLane...>) {
    return __builtin_shufflevector(a, b, (kLane / 2 + kLane % 2 * kSide)...);
  }
  template <size_t... kLane>
  static Row UpperHalf(Row a, Row b, std::index_sequence<kLane...>) {
    return __builtin_shufflevector(a, b, (kSide / 2 + kLane / 2 + kLane % 2 * kSide)...);
  }

  // Each pass rotates the bits of (row, lane) by one: after as many as a row
  // number has bits, rows and lanes have changed places.
  static void Transpose(Row* rows) {
    for (size_t pass = 1; pass < kSide; pass *= 2) {
      Row next[kSide];
      for (size_t i = 0; i < kSide / 2; ++i) {
        next[2 * i] = LowerHalf(rows[i], rows[i + kSide / 2], LaneIndices());
        next[2 * i + 1] = UpperHalf(rows[i], rows[i + kSide / 2], LaneIndices());
      }
      for (size_t i = 0; i < kSide; ++i) rows[i] = next[i];
    }
  }

  template <typename From, typename To>
  static void Move(const From* src, size_t src_stride, To* dst, size_t dst_stride) {
    Row rows[kSide];
    uint32_t lanes[kSide];
    for (size_t r = 0; r < kSide; ++r) {
      for (size_t i = 0; i < kSide; ++i) lanes[i] = Lane<From, To>::Load(src[r * src_stride + i]);
      __builtin_memcpy(&rows[r], lanes, sizeof(lanes));
    }
    Transpose(rows);
    for (size_t r = 0; r < kSide; ++r) {
      __builtin_memcpy(lanes, &rows[r], sizeof(lanes));
      for (size_t i = 0; i < kSide; ++i) Lane<From, To>::Store(lanes[i], dst[r * dst_stride + i]);
    }
  }
};

// The last squares of a row or a column may overlap the ones before them.
template <size_t kSide, typename From, typename To>
inline void TransposeBySquares(const Transposition& matrix, const From* src, To* dst) {
  for (size_t column = 0; column < matrix.columns; column += kSide) {
    const size_t c = column + kSide <= matrix.columns ? column : matrix.columns - kSide;
    for (size_t row = 0; row < matrix.rows; row += kSide) {
      const size_t r = row + kSide <= matrix.rows ? row : matrix.rows - kSide;
      Square<kSide>::Move(src + r * matrix.src_stride + c, matrix.src_stride,
                          dst + c * matrix.dst_stride + r, matrix.dst_stride);
    }
  }
}

template <typename From, typename To>
void TransposeAs(const Transposition& matrix, const void* from, void* to) {
  const From* src = static_cast<const From*>(from);
  To* dst = static_cast<To*>(to);
  const size_t side = matrix.rows < matrix.columns ? matrix.rows : matrix.columns;
  if constexpr (kLanes >= 16) {
    if (side >= 16) return TransposeBySquares<16>(matrix, src, dst);
  }
  if constexpr (kLanes >= 8) {
    if (side >= 8) return TransposeBySquares<8>(matrix, src, dst);
  }
  if (side >= 4) return TransposeBySquares<4>(matrix, src, dst);
  for (size_t c = 0; c < matrix.columns; ++c) {
    for (size_t r = 0; r < matrix.rows; ++r) {
      const uint32_t lane = Lane<From, To>::Load(src[r * matrix.src_stride + c]);
      Lane<From, To>::Store(lane, dst[c * matrix.dst_stride + r]);
    }
  }
}

void Transpose(const Transposition& matrix, const void* src, void* dst) {
  VisitType(matrix.from, [&](auto from) {
    using From = decltype(from);
    if (matrix.to == matrix.from) return TransposeAs<From, From>(matrix, src, dst);
    if (matrix.to == DType::kFloat32) return TransposeAs<From, float>(matrix, src, dst);
    VisitType(matrix.to, [&](auto to) { TransposeAs<float, decltype(to)>(matrix, src, dst); });
  });
}

}  // namespace
}  // namespace tconv::server
