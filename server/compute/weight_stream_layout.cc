#include "server/compute/weight_stream_layout.h"

#include <algorithm>

namespace tconv::server {
namespace {

// Where a tap carries an input.
int64_t Landing(const AxisGeometry& axis, int64_t in, int64_t tap) {
  return in * axis.stride + tap * axis.dilation - axis.crop_begin;
}

}  // namespace

StreamLayout::StreamLayout(const DeconvProblem& problem) : axes(SpatialAxes(problem)) {
  const auto& [d, h, w] = axes;
  for (int64_t tap = 0; tap < d.kernel * h.kernel * w.kernel; ++tap) {
    const std::array<int64_t, 3> at = {tap / (h.kernel * w.kernel), tap / w.kernel % h.kernel,
                                       tap % w.kernel};
    std::array<Range, 3> inputs;
    for (size_t i = 0; i < 3; ++i) inputs[i] = LiveInputs(axes[i], at[i]);
    if (std::any_of(inputs.begin(), inputs.end(), [](const Range& r) { return r.size() == 0; })) {
      continue;
    }
    const auto set = std::find(input_sets.begin(), input_sets.end(), inputs);
    StreamTap stream_tap{tap, static_cast<size_t>(set - input_sets.begin()), {}};
    if (set == input_sets.end()) input_sets.push_back(inputs);
    for (int64_t id = inputs[0].begin; id < inputs[0].end; ++id) {
      for (int64_t ih = inputs[1].begin; ih < inputs[1].end; ++ih) {
        for (int64_t iw = inputs[2].begin; iw < inputs[2].end; ++iw) {
          const int64_t row = Landing(d, id, at[0]) * h.out + Landing(h, ih, at[1]);
          stream_tap.outputs.push_back(row * w.out + Landing(w, iw, at[2]));
        }
      }
    }
    taps.push_back(std::move(stream_tap));
  }
}

int64_t StreamedInputsOf(const DeconvProblem& problem) {
  int64_t inputs = 1;
  for (const AxisGeometry& axis : problem.axes) {
    // Both ends fall from tap to tap, so equal ranges follow each other.
    int64_t inputs_of_axis = 0;
    Range previous;
    for (int64_t tap = 0; tap < axis.kernel; ++tap) {
      const Range live = LiveInputs(axis, tap);
      if (live != previous) inputs_of_axis += live.size();
      previous = live;
    }
    inputs *= inputs_of_axis;
  }
  return inputs;
}

}  // namespace tconv::server
