// How the output positions of a transposed convolution fall into phases: index
// arithmetic alone.
//
// Along one axis, output position o = stride * p + phase - crop_begin with
// 0 <= phase < stride. The taps that reach a phase are tap = phase + stride * t,
// and tap t reads input p - t * distance, where distance is the dilation when
// the stride is 1 and 1 otherwise. So each phase is an ordinary dense
// convolution of its own few taps, and the output is the phases interleaved.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "server/layer/geometry.h"

namespace tconv::server {

struct Range {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return end - begin; }

  friend bool operator==(const Range&, const Range&) = default;
};

// Empty, and within reach of a, when they share nothing.
inline Range Intersection(const Range& a, const Range& b) {
  const int64_t begin = std::max(a.begin, b.begin);
  return {begin, std::max(begin, std::min(a.end, b.end))};
}

// Depth, height and width; the outer axes that a problem lacks have one
// position and one tap.
std::array<AxisGeometry, 3> SpatialAxes(const DeconvProblem& problem);

// Whether an axis is strided and dilated at once, which Keras refuses and
// phases do not describe.
bool IsStridedAndDilated(const AxisGeometry& axis);

// Where a phase of a position lands; outside of the output, maybe.
inline int64_t OutputOf(const AxisGeometry& axis, int64_t position, int64_t phase) {
  return axis.stride * position + phase - axis.crop_begin;
}

// The inputs of an axis that a tap carries to an output.
Range LiveInputs(const AxisGeometry& axis, int64_t tap);

// A tap that reaches an output position, and the input position it reads.
struct Contribution {
  int64_t tap = 0;
  int64_t in = 0;
};

// What one output position of an axis is summed from, by ascending tap; empty
// when no tap reaches it.
std::vector<Contribution> ContributionsOf(const AxisGeometry& axis, int64_t out);

// The contributions of a position on an outer axis and one on the next inner
// axis, as those of one axis in row-major order.
std::vector<Contribution> CombineContributions(const std::vector<Contribution>& outer,
                                               const std::vector<Contribution>& inner,
                                               const AxisGeometry& inner_axis);

// Consecutive phases of an axis with equally many taps each, maybe none. A step
// is one tap of each of these phases.
struct TapRun {
  int64_t first_phase = 0;
  int64_t phases = 0;
  int64_t steps = 0;
  int64_t distance = 1;  // between the inputs of two steps
  Range positions;       // with outputs
};

// The runs of an axis that have outputs: one for each phase, or as few as
// possible. REQUIRES: not strided and dilated.
std::vector<TapRun> TapRunsOf(const AxisGeometry& axis, bool merge_phases);

// Calls visit(position, positions, first_phase, phases) for positions of an axis
// whose phases, the first being `first_phase`, all lie inside of the output; at
// the edges for one position and the phases that do. The phases that are passed
// count from `first_phase`.
template <typename Visitor>
void ForEachSpan(const AxisGeometry& axis, int64_t first_phase, int64_t phases,
                 const Range& positions, Visitor visit) {
  int64_t begin = positions.begin;
  int64_t end = positions.end;
  const auto visit_edge = [&](int64_t p) {
    const int64_t out = OutputOf(axis, p, first_phase);
    const int64_t first = std::max<int64_t>(0, -out);
    const int64_t last = std::min(phases, axis.out - out);
    if (first < last) visit(p, 1, first, last - first);
  };
  const int64_t last_phase = first_phase + phases - 1;
  while (begin < end && OutputOf(axis, begin, first_phase) < 0) visit_edge(begin++);
  while (begin < end && OutputOf(axis, end - 1, last_phase) >= axis.out) visit_edge(--end);
  if (begin < end) visit(begin, end - begin, 0, phases);
}

// A run with taps as one convolution: it computes the sums of its phases at
// positions p in [first_position, first_position + positions). Some of them may
// lie outside of the output.
struct PhaseGroup {
  int64_t first_phase = 0;
  int64_t phases = 0;
  int64_t taps = 0;  // of each phase; > 0
  int64_t tap_distance = 1;
  int64_t first_position = 0;
  int64_t positions = 0;
};

// Whether the phases of an axis are best computed by one convolution: it has
// more channels to fill vectors with and reads the input once, while one for
// each phase multiplies nothing that lies outside of the output.
bool MergesPhases(const AxisGeometry& axis, int64_t filters);

// The groups that compute an axis: one for each phase, or as few as possible.
// Phases without taps are in none. REQUIRES: not strided and dilated.
std::vector<PhaseGroup> PhaseGroupsOf(const AxisGeometry& axis, bool merge_phases);

// Whether each output position of an axis is computed by the groups. The others
// hold the bias alone.
std::vector<bool> CoverageOf(const AxisGeometry& axis, const std::vector<PhaseGroup>& groups);

}  // namespace tconv::server
