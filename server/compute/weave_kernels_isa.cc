// Compiled once for each instruction set: TCONV_WEAVE_KERNELS names the table.
// Plain loops that the compiler vectorizes. Nothing inline from other headers
// than those *_isa.h may be used here: the linker could keep the copy of the
// widest instruction set for all callers.
#include "server/compute/transpose_isa.h"
#include "server/compute/vector_activations_isa.h"
#include "server/compute/weave_formats_isa.h"
#include "server/compute/weave_kernels.h"

namespace tconv::server {
namespace {

struct Linear {
  float operator()(float z) const { return z; }
};
struct Relu {
  float operator()(float z) const { return z <= 0 ? 0 : z; }  // NaN stays
};
struct LeakyRelu {
  float negative_slope;
  float operator()(float z) const { return z < 0 ? negative_slope * z : z; }
};

// Calls visitor with the activation of the rule.
template <typename Visitor>
inline void VisitActivation(const WeaveRule& rule, Visitor visitor) {
  switch (rule.activation) {
    case WovenActivation::kLinear:
      return visitor(Linear{});
    case WovenActivation::kRelu:
      return visitor(Relu{});
    case WovenActivation::kLeakyRelu:
      return visitor(LeakyRelu{rule.negative_slope});
  }
}

// A vector of each of kBlocks blocks, which stay in registers.
template <typename V, size_t kBlocks>
inline void SumVectors(const Blocks* terms, size_t count, size_t first, size_t offset,
                       size_t length, float* sums) {
  V block[kBlocks];
  for (size_t b = 0; b < kBlocks; ++b) {
    __builtin_memcpy(&block[b], terms[0].values + (first + b) * terms[0].stride + offset,
                     sizeof(V));
  }
  for (size_t t = 1; t < count; ++t) {
    for (size_t b = 0; b < kBlocks; ++b) {
      V term;
      __builtin_memcpy(&term, terms[t].values + (first + b) * terms[t].stride + offset, sizeof(V));
      block[b] += term;
    }
  }
  for (size_t b = 0; b < kBlocks; ++b) {
    __builtin_memcpy(sums + (first + b) * length + offset, &block[b], sizeof(V));
  }
}

// A vector that goes beyond its block is overwritten by the next block.
template <typename V>
inline void SumBlocksBy(const Blocks* terms, size_t count, size_t blocks, size_t length,
                        float* sums) {
  constexpr size_t kWidth = sizeof(V) / sizeof(float);
  size_t b = 0;
  if (length <= kWidth) {
    for (; b + 4 <= blocks; b += 4) SumVectors<V, 4>(terms, count, b, 0, length, sums);
  }
  for (; b < blocks; ++b) {
    for (size_t offset = 0; offset < length; offset += kWidth) {
      SumVectors<V, 1>(terms, count, b, offset, length, sums);
    }
  }
}

void SumBlocks(const Blocks* terms, size_t count, size_t blocks, size_t length, float* sums) {
  typedef float Four __attribute__((vector_size(16)));
  typedef float Eight __attribute__((vector_size(32)));
  if (length <= 4) return SumBlocksBy<Four>(terms, count, blocks, length, sums);
  if (length <= 8) return SumBlocksBy<Eight>(terms, count, blocks, length, sums);
  SumBlocksBy<Vector>(terms, count, blocks, length, sums);
}

template <size_t kLength>
inline void CopyShortBlocks(const std::byte* src, size_t src_stride, size_t blocks, std::byte* dst,
                            size_t dst_stride) {
  for (size_t b = 0; b < blocks; ++b) {
    __builtin_memcpy(dst + b * dst_stride, src + b * src_stride, kLength);
  }
}

// Two halves that overlap, where a block is at least one long and at most two.
template <size_t kHalf>
inline void CopyHalves(const std::byte* src, size_t src_stride, size_t blocks, size_t length,
                       std::byte* dst, size_t dst_stride) {
  CopyShortBlocks<kHalf>(src, src_stride, blocks, dst, dst_stride);
  const size_t second = length - kHalf;
  CopyShortBlocks<kHalf>(src + second, src_stride, blocks, dst + second, dst_stride);
}

void CopyBlocks(const std::byte* src, size_t src_stride, size_t blocks, size_t length,
                std::byte* dst, size_t dst_stride) {
  // Lengths known to the compiler take a few instructions each.
  switch (length) {
    case 4:
      return CopyShortBlocks<4>(src, src_stride, blocks, dst, dst_stride);
    case 8:
      return CopyShortBlocks<8>(src, src_stride, blocks, dst, dst_stride);
    case 12:
      return CopyShortBlocks<12>(src, src_stride, blocks, dst, dst_stride);
    case 16:
      return CopyShortBlocks<16>(src, src_stride, blocks, dst, dst_stride);
    case 24:
      return CopyShortBlocks<24>(src, src_stride, blocks, dst, dst_stride);
    case 32:
      return CopyShortBlocks<32>(src, src_stride, blocks, dst, dst_stride);
    case 48:
      return CopyShortBlocks<48>(src, src_stride, blocks, dst, dst_stride);
  }
  if (length > 32 && length <= 64) {
    return CopyHalves<32>(src, src_stride, blocks, length, dst, dst_stride);
  }
  for (size_t b = 0; b < blocks; ++b) {
    __builtin_memcpy(dst + b * dst_stride, src + b * src_stride, length);
  }
}

// kVectors vectors of sums, which stay in registers.
template <size_t kVectors>
inline void SumBlock(const float* const* rows, size_t count, size_t begin, float* sums) {
  Vector block[kVectors];
  __builtin_memcpy(block, rows[0] + begin, sizeof(block));
  for (size_t r = 1; r < count; ++r) {
    for (size_t v = 0; v < kVectors; ++v) {
      Vector term;
      __builtin_memcpy(&term, rows[r] + begin + v * kLanes, sizeof(term));
      block[v] += term;
    }
  }
  __builtin_memcpy(sums + begin, block, sizeof(block));
}

void SumRows(const float* const* rows, size_t count, size_t length, float* sums) {
  size_t i = 0;
  for (; i + 4 * kLanes <= length; i += 4 * kLanes) SumBlock<4>(rows, count, i, sums);
  for (; i + kLanes <= length; i += kLanes) SumBlock<1>(rows, count, i, sums);
  if (i == length) return;
  // The last vector may overlap the one before it.
  if (length >= kLanes) return SumBlock<1>(rows, count, length - kLanes, sums);
  for (; i < length; ++i) {
    float sum = rows[0][i];
    for (size_t r = 1; r < count; ++r) sum += rows[r][i];
    sums[i] = sum;
  }
}

// Of a value of type T, and such a value.
template <typename T, typename Activate>
inline float Activated(Activate activate, float z) {
  return Format<T>::Round(activate(z));
}
template <typename T>
inline float Activated(Linear, float z) {
  return z;
}

template <typename T, typename Dst, typename Activate>
inline void FinishRow(const float* sums, const float* bias, size_t length, Activate activate,
                      Dst* dst) {
  if (bias == nullptr) {
    for (size_t i = 0; i < length; ++i) {
      Format<Dst>::Store(Activated<T>(activate, Format<T>::Round(sums[i])), dst[i]);
    }
    return;
  }
  for (size_t i = 0; i < length; ++i) {
    const float z = Format<T>::Round(Format<T>::Round(sums[i]) + bias[i]);
    Format<Dst>::Store(Activated<T>(activate, z), dst[i]);
  }
}

template <typename T, typename Dst>
inline void FinishRowsAs(const WeaveRule& rule, const RowsOfSums& sums, const float* bias, Dst* dst,
                         size_t dst_stride) {
  VisitActivation(rule, [&](auto activate) {
    for (size_t r = 0; r < sums.rows; ++r) {
      FinishRow<T>(sums.sums + r * sums.stride, bias, sums.length, activate, dst + r * dst_stride);
    }
  });
}

void FinishRows(const WeaveRule& rule, const RowsOfSums& sums, const float* bias, bool widen_result,
                void* dst, size_t dst_stride) {
  VisitType(rule.dtype, [&](auto type) {
    using T = decltype(type);
    if (widen_result) {
      FinishRowsAs<T>(rule, sums, bias, static_cast<float*>(dst), dst_stride);
    } else {
      FinishRowsAs<T>(rule, sums, bias, static_cast<T*>(dst), dst_stride);
    }
  });
}

void FinishPlane(const WeaveRule& rule, float* values, size_t length, float bias) {
  VisitType(rule.dtype, [&](auto type) {
    using T = decltype(type);
    VisitActivation(rule, [&](auto activate) {
      for (size_t i = 0; i < length; ++i) {
        const float z = Format<T>::Round(Format<T>::Round(values[i]) + bias);
        values[i] = Activated<T>(activate, z);
      }
    });
  });
}

template <typename T, size_t kPlanes>
inline void InterleaveFew(const float* values, size_t stride, size_t length, T* dst) {
  for (size_t i = 0; i < length; ++i) {
    for (size_t b = 0; b < kPlanes; ++b) {
      Format<T>::Store(values[b * stride + i], dst[i * kPlanes + b]);
    }
  }
}

// Small counts of planes are known to the compiler, which then shuffles whole
// vectors.
template <typename T>
inline void InterleaveAs(const float* values, size_t stride, size_t planes, size_t length, T* dst) {
  switch (planes) {
    case 1:
      return InterleaveFew<T, 1>(values, stride, length, dst);
    case 2:
      return InterleaveFew<T, 2>(values, stride, length, dst);
    case 3:
      return InterleaveFew<T, 3>(values, stride, length, dst);
    case 4:
      return InterleaveFew<T, 4>(values, stride, length, dst);
    case 6:
      return InterleaveFew<T, 6>(values, stride, length, dst);
    case 8:
      return InterleaveFew<T, 8>(values, stride, length, dst);
  }
  for (size_t b = 0; b < planes; ++b) {
    for (size_t i = 0; i < length; ++i) {
      Format<T>::Store(values[b * stride + i], dst[i * planes + b]);
    }
  }
}

void Interleave(DType dtype, const float* values, size_t stride, size_t planes, size_t length,
                void* dst) {
  VisitType(dtype, [&](auto type) {
    InterleaveAs(values, stride, planes, length, static_cast<decltype(type)*>(dst));
  });
}

// Each lane is a position.
inline void ActivatePositions(ChannelActivation activation, Vector* channels, size_t count) {
  Vector max = channels[0];
  for (size_t c = 1; c < count; ++c) max = channels[c] > max ? channels[c] : max;
  const bool is_log = activation == ChannelActivation::kLogSoftmax;
  Vector sum = All(0);
  for (size_t c = 0; c < count; ++c) {
    const Vector z = channels[c] - max;
    const Vector e = Decay(z);
    sum += e;
    channels[c] = is_log ? z : e;
  }
  const Vector log_sum = is_log ? VectorLog(sum) : sum;
  for (size_t c = 0; c < count; ++c) {
    channels[c] = is_log ? channels[c] - log_sum : channels[c] / sum;
  }
}

// planes[c * kLanes + p] = values[p * channels + c]. The compiler shuffles whole
// vectors of pairs.
inline void SplitChannels(const float* values, size_t positions, size_t channels, float* planes) {
  if (channels != 2) {
    const Transposition matrix = {
        .rows = positions, .columns = channels, .src_stride = channels, .dst_stride = kLanes};
    return TransposeAs<float, float>(matrix, values, planes);
  }
  for (size_t p = 0; p < positions; ++p) {
    planes[p] = values[2 * p];
    planes[kLanes + p] = values[2 * p + 1];
  }
}

// values[p * channels + c] = planes[c * kLanes + p]
inline void JoinChannels(const float* planes, size_t positions, size_t channels, float* values) {
  if (channels == 2) return InterleaveFew<float, 2>(planes, kLanes, positions, values);
  const Transposition matrix = {
      .rows = channels, .columns = positions, .src_stride = kLanes, .dst_stride = channels};
  TransposeAs<float, float>(matrix, planes, values);
}

void ActivateChannels(ChannelActivation activation, float* values, size_t positions,
                      size_t channels) {
  static_assert(kLanes <= kActivatedPositions);
  Vector lanes[kMostActivatedChannels];
  auto* planes = reinterpret_cast<float*>(lanes);
  for (size_t p = 0; p < positions; p += kLanes) {
    const size_t count = p + kLanes <= positions ? kLanes : positions - p;
    if (count < kLanes) __builtin_memset(lanes, 0, channels * sizeof(Vector));
    SplitChannels(values + p * channels, count, channels, planes);
    ActivatePositions(activation, lanes, channels);
    JoinChannels(planes, count, channels, values + p * channels);
  }
}

void Widen(const BFloat16* src, size_t length, float* dst) {
  for (size_t i = 0; i < length; ++i) dst[i] = FloatOf(uint32_t{src[i].bits} << 16);
}

}  // namespace

extern const WeaveKernels TCONV_WEAVE_KERNELS;
const WeaveKernels TCONV_WEAVE_KERNELS = {
    SumBlocks,        SumRows,    FinishRows, FinishPlane, Activate,
    ActivateChannels, Interleave, CopyBlocks, Transpose,   Widen};

}  // namespace tconv::server
