// What a transposed convolution adds to what, by its definition: what the cuts
// of the strategies have to add up to.
#pragma once

#include <array>
#include <cstdint>
#include <set>
#include <string>

#include "server/compute/phases.h"
#include "tests/support/shape_table.h"

namespace tconv::server {

// The axis of a row in one dimension, by what follows its name.
inline AxisGeometry AxisOf(const std::string& arguments) {
  return tconv::testing::ParseShapeRow("axis " + arguments).problem.axes[0];
}

inline constexpr const char* kAxisCases[] = {"1x5x1 f=1 k=3",
                                             "1x5x1 f=1 k=4 s=2 same",
                                             "1x5x1 f=1 k=5 s=3",
                                             "1x4x1 f=1 k=2 s=3",
                                             "1x4x1 f=1 k=3 s=4 op=3",
                                             "1x5x1 f=1 k=5 s=3 op=0 same",
                                             "1x5x1 f=1 k=3 d=3",
                                             "1x4x1 f=1 k=4 s=3 op=0 same",
                                             "1x1x1 f=1 k=7 s=2 same",
                                             "1x5x1 f=1 k=4 d=2 same",
                                             "1x1x1 f=1 k=2 d=3",
                                             "1x9x1 f=1 k=16 s=8 same",
                                             "1x2x1 f=1 k=6 s=4 op=1 same"};

// Output, tap and input; of more axes each in row-major order.
using Contributions = std::set<std::array<int64_t, 3>>;

// output = input * stride + tap * dilation - crop
inline Contributions DefinedContributions(const AxisGeometry& axis) {
  Contributions contributions;
  for (int64_t in = 0; in < axis.in; ++in) {
    for (int64_t tap = 0; tap < axis.kernel; ++tap) {
      const int64_t out = in * axis.stride + tap * axis.dilation - axis.crop_begin;
      if (out >= 0 && out < axis.out) contributions.insert({out, tap, in});
    }
  }
  return contributions;
}

inline Contributions DefinedContributions(const DeconvProblem& problem) {
  Contributions combined = {{0, 0, 0}};
  for (const AxisGeometry& axis : problem.axes) {
    Contributions next;
    for (const auto& [out, tap, in] : combined) {
      for (const auto& [axis_out, axis_tap, axis_in] : DefinedContributions(axis)) {
        next.insert(
            {out * axis.out + axis_out, tap * axis.kernel + axis_tap, in * axis.in + axis_in});
      }
    }
    combined = std::move(next);
  }
  return combined;
}

}  // namespace tconv::server
