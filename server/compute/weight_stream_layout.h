// What weight_stream multiplies: index arithmetic alone.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "server/compute/phases.h"
#include "server/layer/geometry.h"

namespace tconv::server {

// A tap of the kernel with the inputs that it carries to outputs.
struct StreamTap {
  int64_t tap = 0;
  size_t input_set = 0;
  std::vector<int64_t> outputs;  // of the inputs of the set in row-major order
};

// Taps that no input of the image reaches an output through are left out.
struct StreamLayout {
  explicit StreamLayout(const DeconvProblem& problem);

  std::array<AxisGeometry, 3> axes;
  std::vector<std::array<Range, 3>> input_sets;  // depth, height, width
  std::vector<StreamTap> taps;

  int64_t InputsOf(size_t set) const {
    const auto& [d, h, w] = input_sets[set];
    return d.size() * h.size() * w.size();
  }
};

// Inputs of all sets of the layout of a problem.
int64_t StreamedInputsOf(const DeconvProblem& problem);

}  // namespace tconv::server
