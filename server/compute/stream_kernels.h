// The inner loop of weight_stream, compiled once for each instruction set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "server/tensor/dtype.h"

namespace tconv::server {

// Filters that one call computes; weights are packed in blocks of so many.
inline constexpr size_t kStreamFilters = 32;

struct StreamKernels {
  // Rows that fit into the registers.
  size_t max_rows;

  // sums[r][f] += src[c * rows + r] * weights[c * kStreamFilters + f], summed
  // over c < channels in order, for r < rows <= max_rows.
  void (*multiply)(const float* src, const float* weights, size_t channels, size_t rows,
                   float* const* sums);

  // The same for weights of half the size.
  void (*multiply_bfloat16)(const float* src, const BFloat16* weights, size_t channels, size_t rows,
                            float* const* sums);
};

// The loops that this CPU can run; the widest come first.
std::span<const StreamKernels* const> RunnableStreamKernels();

inline const StreamKernels& StreamKernelsForThisCpu() { return *RunnableStreamKernels().front(); }

}  // namespace tconv::server
