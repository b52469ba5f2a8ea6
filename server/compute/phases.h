// How the output positions of a transposed convolution fall into phases: index
// arithmetic alone.
//
// Along one axis, output position o = stride * p + phase - crop_begin with
// 0 <= phase < stride. The taps that reach a phase are tap = phase + stride * t,
// and tap t reads input p - t * distance, where distance is the dilation when
// the stride is 1 and 1 otherwise. So each phase is an ordinary dense
// convolution of its own few taps, and the output is the phases interleaved.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "server/layer/geometry.h"

namespace tconv::server {

// Depth, height and width; the outer axes that a problem lacks have one
// position and one tap.
std::array<AxisGeometry, 3> SpatialAxes(const DeconvProblem& problem);

// Whether an axis is strided and dilated at once, which Keras refuses and
// phases do not describe.
bool IsStridedAndDilated(const AxisGeometry& axis);

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

// Consecutive phases of an axis with equally many taps, as one convolution: it
// computes the sums of its phases at positions p in
// [first_position, first_position + positions). Some of them may lie outside of
// the output.
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
