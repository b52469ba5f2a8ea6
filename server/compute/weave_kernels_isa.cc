// Compiled once for each instruction set: TCONV_WEAVE_KERNELS names the table.
// Plain loops that the compiler vectorizes. Nothing inline from other headers
// may be used here: the linker could keep the copy of the widest instruction
// set for all callers.
#include <utility>

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

inline Vector All(float value) { return Vector{} + value; }

#if defined(TCONV_HAS_LIBMVEC)

// The vector forms of the C library's functions, by the names that the vector
// ABI of x86-64 gives them.
#if defined(__AVX512F__)
#define TCONV_VECTOR_FORM(function) __asm__("_ZGVeN16v_" function)
#elif defined(__AVX2__)
#define TCONV_VECTOR_FORM(function) __asm__("_ZGVdN8v_" function)
#else
#define TCONV_VECTOR_FORM(function) __asm__("_ZGVbN4v_" function)
#endif

extern "C" {
Vector VectorErf(Vector) TCONV_VECTOR_FORM("erff");
Vector VectorExp(Vector) TCONV_VECTOR_FORM("expf");
Vector VectorExpm1(Vector) TCONV_VECTOR_FORM("expm1f");
Vector VectorLog(Vector) TCONV_VECTOR_FORM("logf");
Vector VectorLog1p(Vector) TCONV_VECTOR_FORM("log1pf");
Vector VectorTanh(Vector) TCONV_VECTOR_FORM("tanhf");
}

inline Vector Magnitude(Vector z) { return z < 0 ? -z : z; }

// The formulas of the layer's activations.
inline Vector Sigmoid(Vector z) {
  const Vector e = VectorExp(-Magnitude(z));
  return (z < 0 ? e : All(1)) / (1 + e);
}
inline Vector Elu(Vector z, float alpha) { return z > 0 ? z : alpha * VectorExpm1(z); }
inline Vector Softplus(Vector z) {
  return (z < 0 ? All(0) : z) + VectorLog1p(VectorExp(-Magnitude(z)));
}
inline Vector Gelu(Vector z) { return z / 2 * (1 + VectorErf(z / 1.41421356237309505f)); }
inline Vector ApproximateGelu(Vector z) {
  constexpr float kScale = 0.797884560802865356f;  // sqrt(2 / pi)
  return z / 2 * (1 + VectorTanh(kScale * (z + 0.044715f * z * z * z)));
}
inline Vector Mish(Vector z) {
  const Vector e = VectorExp(z > 20 ? All(20) : z);
  const Vector n = e * (e + 2);
  return z * (n / (n + 2));
}

// The last values take part in a vector of their own, so that a value gives the
// same bits wherever it stands.
template <typename Function>
inline void ApplyByVectors(float* values, size_t length, Function function) {
  Vector z;
  size_t i = 0;
  for (; i + kLanes <= length; i += kLanes) {
    __builtin_memcpy(&z, values + i, sizeof(z));
    z = function(z);
    __builtin_memcpy(values + i, &z, sizeof(z));
  }
  if (i == length) return;
  z = All(0);
  __builtin_memcpy(&z, values + i, (length - i) * sizeof(float));
  z = function(z);
  __builtin_memcpy(values + i, &z, (length - i) * sizeof(float));
}

bool Activate(VectorActivation activation, float parameter, float* values, size_t length) {
  const auto apply = [&](auto function) {
    ApplyByVectors(values, length, function);
    return true;
  };
  switch (activation) {
    case VectorActivation::kNone:
      return true;
    case VectorActivation::kTanh:
      return apply([](Vector z) { return VectorTanh(z); });
    case VectorActivation::kSigmoid:
      return apply([](Vector z) { return Sigmoid(z); });
    case VectorActivation::kSilu:
      return apply([](Vector z) { return z * Sigmoid(z); });
    case VectorActivation::kElu:
      return apply([=](Vector z) { return Elu(z, parameter); });
    case VectorActivation::kSelu:
      return apply([](Vector z) { return 1.0507009873554805f * Elu(z, 1.6732632423543772f); });
    case VectorActivation::kSoftplus:
      return apply([](Vector z) { return Softplus(z); });
    case VectorActivation::kGelu:
      return apply([](Vector z) { return Gelu(z); });
    case VectorActivation::kApproximateGelu:
      return apply([](Vector z) { return ApproximateGelu(z); });
    case VectorActivation::kExponential:
      return apply([](Vector z) { return VectorExp(z); });
    case VectorActivation::kMish:
      return apply([](Vector z) { return Mish(z); });
  }
  return false;
}

#else

inline Vector VectorExp(Vector z) {
  for (size_t i = 0; i < kLanes; ++i) z[i] = __builtin_expf(z[i]);
  return z;
}
inline Vector VectorLog(Vector z) {
  for (size_t i = 0; i < kLanes; ++i) z[i] = __builtin_logf(z[i]);
  return z;
}

bool Activate(VectorActivation activation, float, float*, size_t) {
  return activation == VectorActivation::kNone;
}

#endif

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

// e^z for z <= 0. Results below the least normal number are 0: the function of
// the library leaves its vectors for them.
inline Vector Decay(Vector z) {
  constexpr float kLeast = -87.0f;
  const Vector e = VectorExp(z < kLeast ? All(kLeast) : z);
  return z < kLeast ? All(0) : e;
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
