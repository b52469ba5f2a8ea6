#include "server/compute/phases.h"

#include <algorithm>

namespace tconv::server {
namespace {

// Rounding towards infinities; b > 0.
int64_t FloorDiv(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }
int64_t CeilDiv(int64_t a, int64_t b) { return -FloorDiv(-a, b); }

// The group of phases [first, last] with `taps` taps each.
PhaseGroup MakeGroup(const AxisGeometry& axis, int64_t first, int64_t last, int64_t taps) {
  PhaseGroup group;
  group.first_phase = first;
  group.phases = last - first + 1;
  group.taps = taps;
  group.tap_distance = axis.stride == 1 ? axis.dilation : 1;
  // The positions that some phase needs ...
  int64_t begin = std::max<int64_t>(0, CeilDiv(axis.crop_begin - last, axis.stride));
  int64_t end = FloorDiv(axis.out - 1 + axis.crop_begin - first, axis.stride) + 1;
  if (end <= begin) return group;
  // ... widened until every input is read, for a convolution cannot skip some,
  // and cut where the last tap leaves the image.
  const int64_t reach = (taps - 1) * group.tap_distance;
  begin = std::min(begin, reach);
  end = std::clamp(end, axis.in, axis.in + reach);
  group.first_position = begin;
  group.positions = end - begin;
  return group;
}

}  // namespace

std::array<AxisGeometry, 3> SpatialAxes(const DeconvProblem& problem) {
  std::array<AxisGeometry, 3> axes;
  axes.fill({.in = 1, .out = 1, .kernel = 1});
  std::copy(problem.axes.rbegin(), problem.axes.rend(), axes.rbegin());
  return axes;
}

bool IsStridedAndDilated(const AxisGeometry& axis) {
  return axis.stride > 1 && axis.dilation > 1 && axis.kernel > 1;
}

std::vector<Contribution> ContributionsOf(const AxisGeometry& axis, int64_t out) {
  std::vector<Contribution> contributions;
  for (int64_t tap = 0; tap < axis.kernel; ++tap) {
    const int64_t distance = out + axis.crop_begin - tap * axis.dilation;  // in * stride
    if (distance < 0) break;
    const int64_t in = distance / axis.stride;
    if (distance % axis.stride == 0 && in < axis.in) contributions.push_back({tap, in});
  }
  return contributions;
}

std::vector<Contribution> CombineContributions(const std::vector<Contribution>& outer,
                                               const std::vector<Contribution>& inner,
                                               const AxisGeometry& inner_axis) {
  std::vector<Contribution> combined;
  combined.reserve(outer.size() * inner.size());
  for (const Contribution& a : outer) {
    for (const Contribution& b : inner) {
      combined.push_back({a.tap * inner_axis.kernel + b.tap, a.in * inner_axis.in + b.in});
    }
  }
  return combined;
}

bool MergesPhases(const AxisGeometry& axis, int64_t filters) {
  return axis.kernel <= axis.stride || axis.stride >= 8 || filters < 16;
}

std::vector<PhaseGroup> PhaseGroupsOf(const AxisGeometry& axis, bool merge_phases) {
  // The first `longer` phases have `most_taps`, the others one less.
  const int64_t most_taps = (axis.kernel + axis.stride - 1) / axis.stride;
  const int64_t longer = axis.kernel - axis.stride * (most_taps - 1);
  std::vector<PhaseGroup> groups;
  for (int64_t first = 0; first < axis.stride;) {
    const int64_t taps = first < longer ? most_taps : most_taps - 1;
    const int64_t last_alike = first < longer ? longer - 1 : axis.stride - 1;
    const int64_t last = merge_phases ? last_alike : first;
    if (taps > 0) {
      const PhaseGroup group = MakeGroup(axis, first, last, taps);
      if (group.positions > 0) groups.push_back(group);
    }
    first = last + 1;
  }
  return groups;
}

std::vector<bool> CoverageOf(const AxisGeometry& axis, const std::vector<PhaseGroup>& groups) {
  std::vector<bool> is_covered(static_cast<size_t>(axis.out), false);
  for (const PhaseGroup& group : groups) {
    for (int64_t p = group.first_position; p < group.first_position + group.positions; ++p) {
      for (int64_t i = 0; i < group.phases; ++i) {
        const int64_t out = axis.stride * p + group.first_phase + i - axis.crop_begin;
        if (out >= 0 && out < axis.out) is_covered[static_cast<size_t>(out)] = true;
      }
    }
  }
  return is_covered;
}

}  // namespace tconv::server
