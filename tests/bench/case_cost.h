// What a problem needs at least, however it is computed.
#pragma once

#include <cstdint>

#include "server/layer/geometry.h"

namespace tconv::bench {

struct CaseCost {
  // Multiplications and additions for taps that land inside of the output.
  double operations = 0;
  // Of the kernel, for taps that reach an output at all, in the dtype of the
  // problem.
  int64_t weights_bytes = 0;
  int64_t src_bytes = 0;
  int64_t dst_bytes = 0;
};

CaseCost CostOf(const server::DeconvProblem& problem);

}  // namespace tconv::bench
