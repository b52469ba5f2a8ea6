// How tensors of images lie, and the loops over them that the references share.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "server/compute/phases.h"
#include "server/layer/geometry.h"

namespace tconv::server {

// Distances between neighbours in a tensor of images.
struct ImageStrides {
  int64_t image;
  int64_t channel;
  int64_t position;
};

inline ImageStrides StridesOf(DataFormat format, int64_t channels, int64_t positions) {
  if (format == DataFormat::kChannelsLast) return {channels * positions, 1, channels};
  return {channels * positions, positions, 1};
}

inline ImageStrides SrcStrides(const DeconvProblem& problem) {
  int64_t positions = 1;
  for (const AxisGeometry& axis : problem.axes) positions *= axis.in;
  return StridesOf(problem.data_format, problem.in_channels, positions);
}

// Of the linear result.
inline ImageStrides DstStrides(const DeconvProblem& problem) {
  int64_t positions = 1;
  for (const AxisGeometry& axis : problem.axes) positions *= axis.out;
  return StridesOf(problem.data_format, problem.out_channels, positions);
}

// Calls visit(position, contributions) for every output position of an image, in
// order, with what it is summed from.
template <typename Visitor>
void ForEachOutput(const std::array<AxisGeometry, 3>& axes, Visitor visit) {
  int64_t position = 0;
  for (int64_t d = 0; d < axes[0].out; ++d) {
    const std::vector<Contribution> of_d = ContributionsOf(axes[0], d);
    for (int64_t h = 0; h < axes[1].out; ++h) {
      const std::vector<Contribution> of_dh =
          CombineContributions(of_d, ContributionsOf(axes[1], h), axes[1]);
      for (int64_t w = 0; w < axes[2].out; ++w) {
        visit(position++, CombineContributions(of_dh, ContributionsOf(axes[2], w), axes[2]));
      }
    }
  }
}

}  // namespace tconv::server
