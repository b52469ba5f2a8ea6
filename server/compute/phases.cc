#include "server/compute/phases.h"

#include <algorithm>

#include "server/compute/tiles.h"

namespace tconv::server {
namespace {

// The convolution of a run with taps.
PhaseGroup MakeGroup(const AxisGeometry& axis, const TapRun& run) {
  PhaseGroup group;
  group.first_phase = run.first_phase;
  group.phases = run.phases;
  group.taps = run.steps;
  group.tap_distance = run.distance;
  // The positions with outputs, widened until every input is read, for a
  // convolution cannot skip some, and cut where the last tap leaves the image.
  const int64_t reach = (run.steps - 1) * run.distance;
  group.first_position = std::min(run.positions.begin, reach);
  const int64_t end = std::clamp(run.positions.end, axis.in, axis.in + reach);
  group.positions = end - group.first_position;
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

Range LiveInputs(const AxisGeometry& axis, int64_t tap) {
  const int64_t shift = axis.crop_begin - tap * axis.dilation;  // of the output, times -1
  const int64_t last = axis.out - 1 + shift;
  const Range live = {shift <= 0 ? 0 : CeilDiv(shift, axis.stride),
                      last < 0 ? 0 : last / axis.stride + 1};
  return Intersection(live, {0, axis.in});
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

std::vector<TapRun> TapRunsOf(const AxisGeometry& axis, bool merge_phases) {
  const int64_t most_steps = CeilDiv(axis.kernel, axis.stride);
  // The first `longer` phases have `most_steps`, the others one less.
  const int64_t longer = axis.kernel - axis.stride * (most_steps - 1);
  std::vector<TapRun> runs;
  for (int64_t first = 0; first < axis.stride;) {
    const int64_t last_alike = first < longer ? longer - 1 : axis.stride - 1;
    const int64_t last = merge_phases ? last_alike : first;
    TapRun run;
    run.first_phase = first;
    run.phases = last - first + 1;
    run.steps = first < longer ? most_steps : most_steps - 1;
    run.distance = axis.stride == 1 ? axis.dilation : 1;
    const int64_t first_out = axis.crop_begin - last;
    const int64_t last_out = axis.out - 1 + axis.crop_begin - first;
    run.positions.begin = first_out <= 0 ? 0 : CeilDiv(first_out, axis.stride);
    run.positions.end = last_out < 0 ? 0 : last_out / axis.stride + 1;
    if (run.positions.size() > 0) runs.push_back(run);
    first = last + 1;
  }
  return runs;
}

std::vector<PhaseGroup> PhaseGroupsOf(const AxisGeometry& axis, bool merge_phases) {
  std::vector<PhaseGroup> groups;
  for (const TapRun& run : TapRunsOf(axis, merge_phases)) {
    if (run.steps > 0) groups.push_back(MakeGroup(axis, run));
  }
  return groups;
}

std::vector<bool> CoverageOf(const AxisGeometry& axis, const std::vector<PhaseGroup>& groups) {
  std::vector<bool> is_covered(static_cast<size_t>(axis.out), false);
  for (const PhaseGroup& group : groups) {
    for (int64_t p = group.first_position; p < group.first_position + group.positions; ++p) {
      for (int64_t i = 0; i < group.phases; ++i) {
        const int64_t out = OutputOf(axis, p, group.first_phase + i);
        if (out >= 0 && out < axis.out) is_covered[static_cast<size_t>(out)] = true;
      }
    }
  }
  return is_covered;
}

}  // namespace tconv::server
