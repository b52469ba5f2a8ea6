// Compiled once for each instruction set: TCONV_STREAM_KERNELS names the table.
// Nothing inline from other headers may be used here: the linker could keep the
// copy of the widest instruction set for all callers.
#include "server/compute/stream_kernels.h"

namespace tconv::server {
namespace {

// Sums of all rows and filters, and the weights of one channel, are kept in
// registers: 32 of AVX-512, 16 of the others.
#if defined(__AVX512F__)
constexpr size_t kVectorBytes = 64;
constexpr size_t kMaxRows = 12;
#elif defined(__AVX2__)
constexpr size_t kVectorBytes = 32;
constexpr size_t kMaxRows = 3;
#else
constexpr size_t kVectorBytes = 16;
constexpr size_t kMaxRows = 1;
#endif
typedef float Vector __attribute__((vector_size(kVectorBytes)));
typedef uint32_t BitVector __attribute__((vector_size(kVectorBytes)));
typedef uint16_t NarrowVector __attribute__((vector_size(kVectorBytes / 2)));
constexpr size_t kLanes = kVectorBytes / sizeof(float);
constexpr size_t kVectors = kStreamFilters / kLanes;

// The memory is asked for weights so many bytes before they are multiplied.
constexpr size_t kPrefetchBytes = 2048;

inline Vector Load(const float* weights) {
  Vector values;
  __builtin_memcpy(&values, weights, sizeof(values));
  return values;
}

inline Vector Load(const BFloat16* weights) {
  NarrowVector narrow;
  __builtin_memcpy(&narrow, weights, sizeof(narrow));
  const BitVector bits = __builtin_convertvector(narrow, BitVector) << 16;
  Vector values;
  __builtin_memcpy(&values, &bits, sizeof(values));
  return values;
}

template <size_t kRows, typename Weight>
void MultiplyRows(const float* src, const Weight* weights, size_t channels, float* const* sums) {
  Vector block[kRows][kVectors];
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t v = 0; v < kVectors; ++v) block[r][v] = Load(sums[r] + v * kLanes);
  }
  for (size_t c = 0; c < channels; ++c, src += kRows, weights += kStreamFilters) {
    const char* ahead = reinterpret_cast<const char*>(weights) + kPrefetchBytes;
    for (size_t i = 0; i < kStreamFilters * sizeof(Weight); i += 64) {
      __builtin_prefetch(ahead + i, 0, 2);
    }
    Vector weight[kVectors];
    for (size_t v = 0; v < kVectors; ++v) weight[v] = Load(weights + v * kLanes);
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t v = 0; v < kVectors; ++v) block[r][v] += src[r] * weight[v];
    }
  }
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t v = 0; v < kVectors; ++v) {
      __builtin_memcpy(sums[r] + v * kLanes, &block[r][v], sizeof(Vector));
    }
  }
}

// Numbers of rows are known to the compiler, which keeps their sums in
// registers.
template <size_t kRows, typename Weight>
void MultiplyUpTo(const float* src, const Weight* weights, size_t channels, size_t rows,
                  float* const* sums) {
  if (rows == kRows) return MultiplyRows<kRows>(src, weights, channels, sums);
  if constexpr (kRows > 1) MultiplyUpTo<kRows - 1>(src, weights, channels, rows, sums);
}

}  // namespace

extern const StreamKernels TCONV_STREAM_KERNELS;
const StreamKernels TCONV_STREAM_KERNELS = {kMaxRows, MultiplyUpTo<kMaxRows, float>,
                                            MultiplyUpTo<kMaxRows, BFloat16>};

}  // namespace tconv::server
