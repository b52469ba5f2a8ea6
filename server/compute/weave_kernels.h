// The inner loops of the weave, compiled once for each instruction set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "server/tensor/dtype.h"

namespace tconv::server {

// Activations that finish_rows() and finish_plane() apply in passing.
enum class WovenActivation : uint8_t { kLinear, kRelu, kLeakyRelu };

// Activations that have a pass of their own over values in the L1 cache, and
// derivatives that have one. The first two are woven on the way forward.
enum class VectorActivation : uint8_t {
  kNone,
  kRelu,
  kLeakyRelu,  // parameter: the negative slope
  kTanh,
  kSigmoid,
  kSilu,
  kElu,  // parameter: alpha
  kSelu,
  kSoftplus,
  kGelu,
  kApproximateGelu,
  kExponential,
  kMish,
};

// Activations along the channels of a position.
enum class ChannelActivation : uint8_t { kNone, kSoftmax, kLogSoftmax };

// With more channels the values of kActivatedPositions leave the L1 cache.
inline constexpr size_t kMostActivatedChannels = 256;
// Positions that are activated at once, one in each lane of a vector.
inline constexpr size_t kActivatedPositions = 16;

// How sums become results. Every step is rounded to `dtype`: the sum, the sum
// with its bias, the activated value.
struct WeaveRule {
  DType dtype = DType::kFloat32;  // not float64
  WovenActivation activation = WovenActivation::kLinear;
  float negative_slope = 0;  // of kLeakyRelu
};

// Runs of `length` sums, `rows` of them, that lie `stride` elements apart.
struct RowsOfSums {
  const float* sums = nullptr;
  size_t stride = 0;
  size_t rows = 0;
  size_t length = 0;
};

// Blocks of one length, `stride` elements apart.
struct Blocks {
  const float* values = nullptr;
  size_t stride = 0;
};

// A matrix [rows][columns] that becomes [columns][rows]. Strides count elements
// of the type at their side.
struct Transposition {
  size_t rows = 0;
  size_t columns = 0;
  DType from = DType::kFloat32;
  size_t src_stride = 0;
  DType to = DType::kFloat32;  // `from` or, one of both is float32
  size_t dst_stride = 0;
};

struct WeaveKernels {
  // sums[b * length + i] = terms[0].values[b * terms[0].stride + i] + ..., added
  // in this order, for b < blocks; `count` > 0. Reads up to 15 elements past
  // the end of a block, and writes as many past the end of the sums.
  void (*sum_blocks)(const Blocks* terms, size_t count, size_t blocks, size_t length, float* sums);

  // sums[i] = rows[0][i] + rows[1][i] + ..., added in this order; `count` > 0.
  void (*sum_rows)(const float* const* rows, size_t count, size_t length, float* sums);

  // dst[r * dst_stride + i] = rule(sums[r * stride + i] + bias[i]), in the
  // dtype of the rule; with `widen_result` as float. `bias` may be null. The
  // sums may be the result, with equal strides.
  void (*finish_rows)(const WeaveRule& rule, const RowsOfSums& sums, const float* bias,
                      bool widen_result, void* dst, size_t dst_stride);

  // values[i] = rule(values[i] + bias), as float.
  void (*finish_plane)(const WeaveRule& rule, float* values, size_t length, float bias);

  // values[i] = activation(values[i]), within 4 units of the last place of each
  // transcendental function. False, and nothing done, when there is no such form
  // of it in this build.
  bool (*activate)(VectorActivation activation, float parameter, float* values, size_t length);

  // values[p * channels + c], for c < channels, become their softmax or its
  // logarithm, for p < positions. Exponentials below the least normal number are
  // 0. REQUIRES: not kNone; 0 < channels <= kMostActivatedChannels.
  void (*activate_channels)(ChannelActivation activation, float* values, size_t positions,
                            size_t channels);

  // dst[i * planes + b] = values[b * stride + i] in `dtype`, for i < length.
  void (*interleave)(DType dtype, const float* values, size_t stride, size_t planes, size_t length,
                     void* dst);

  // Copies `blocks` blocks of `length` bytes.
  void (*copy_blocks)(const std::byte* src, size_t src_stride, size_t blocks, size_t length,
                      std::byte* dst, size_t dst_stride);

  // dst[c * dst_stride + r] = src[r * src_stride + c], cast; narrowing rounds.
  // Runs of `dst` are written from their begin to their end.
  void (*transpose)(const Transposition& matrix, const void* src, void* dst);

  // dst[i] = src[i]
  void (*widen)(const BFloat16* src, size_t length, float* dst);
};

// The loops that this CPU can run: for AVX-512, for AVX2, and for what every CPU
// of the architecture has. The widest come first.
std::span<const WeaveKernels* const> RunnableWeaveKernels();

inline const WeaveKernels& WeaveKernelsForThisCpu() { return *RunnableWeaveKernels().front(); }

}  // namespace tconv::server
