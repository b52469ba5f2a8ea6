// The inner loops on the way back, compiled once for each instruction set.
#pragma once

#include <cstddef>
#include <span>

#include "server/compute/weave_kernels.h"

namespace tconv::server {

struct GradientKernels {
  // gradient[i] *= f'(z[i]), within some units of the last place of 1. REQUIRES: not
  // kNone.
  void (*differentiate)(VectorActivation activation, float parameter, const float* z,
                        float* gradient, size_t length);

  // sums[c] += values[r * columns + c], for r < rows.
  void (*add_rows)(const float* values, size_t rows, size_t columns, double* sums);
};

// As RunnableWeaveKernels().
std::span<const GradientKernels* const> RunnableGradientKernels();

inline const GradientKernels& GradientKernelsForThisCpu() {
  return *RunnableGradientKernels().front();
}

}  // namespace tconv::server
