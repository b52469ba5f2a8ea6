#include "server/compute/windows.h"

#include <algorithm>
#include <cstring>

#include "server/compute/weave_kernels.h"

namespace tconv::server {
namespace {

int64_t PositionsOf(const DeconvProblem& problem) {
  int64_t positions = problem.batch;
  for (const AxisGeometry& axis : problem.axes) positions *= axis.in;
  return positions;
}

// The taps between the first and the last that reach an output.
Range LiveTaps(const AxisGeometry& axis) {
  Range live = {axis.kernel, 0};
  for (int64_t tap = 0; tap < axis.kernel; ++tap) {
    if (LiveInputs(axis, tap).size() == 0) continue;
    live = {std::min(live.begin, tap), tap + 1};
  }
  return {std::min(live.begin, live.end), live.end};
}

size_t FloatBytes(int64_t floats) { return static_cast<size_t>(floats) * sizeof(float); }

// Copies `blocks` blocks of `length` floats.
void CopyBlocks(const float* src, int64_t src_stride, int64_t blocks, int64_t length, float* dst,
                int64_t dst_stride) {
  WeaveKernelsForThisCpu().copy_blocks(
      reinterpret_cast<const std::byte*>(src), FloatBytes(src_stride), static_cast<size_t>(blocks),
      FloatBytes(length), reinterpret_cast<std::byte*>(dst), FloatBytes(dst_stride));
}

}  // namespace

Windows::Windows(const DeconvProblem& problem, int64_t columns_per_chunk)
    : axes_(SpatialAxes(problem)),
      channels_(problem.out_channels),
      positions_(PositionsOf(problem)) {
  AddChunks(columns_per_chunk);
}

void Windows::AddChunks(int64_t columns_per_chunk) {
  const auto& [d, h, w] = axes_;
  const Range live = LiveTaps(w);
  const int64_t most_taps =
      w.dilation > 1 ? 1 : std::max<int64_t>(1, columns_per_chunk / channels_);
  for (int64_t kd = LiveTaps(d).begin; kd < LiveTaps(d).end; ++kd) {
    for (int64_t kh = LiveTaps(h).begin; kh < LiveTaps(h).end; ++kh) {
      for (int64_t kw = live.begin; kw < live.end; kw += most_taps) {
        const int64_t taps = std::min(most_taps, live.end - kw);
        const int64_t kernel_row = ((kd * h.kernel + kh) * w.kernel + kw) * channels_;
        const bool fits = !chunks_.empty() &&
                          chunks_.back().first_kernel_row + chunks_.back().columns == kernel_row &&
                          chunks_.back().columns + taps * channels_ <= columns_per_chunk;
        if (!fits) chunks_.push_back({.rows = {}, .first_kernel_row = kernel_row});
        WindowChunk& chunk = chunks_.back();
        chunk.rows.push_back({kd, kh, kw, taps, chunk.columns});
        chunk.columns += taps * channels_;
      }
    }
  }
}

void Windows::Gather(const WindowChunk& chunk, int64_t first, int64_t count, const float* diff_dst,
                     float* matrix) const {
  const int64_t last = first + count;
  for (const WindowRow& row : chunk.rows) {
    for (int64_t begin = first; begin < last;) {
      const Line line = LineOf(row, begin, last, diff_dst);
      GatherLine(row, line, chunk.columns,
                 matrix + (begin - first) * chunk.columns + row.first_column);
      begin += line.inputs.size();
    }
  }
}

// Of the positions from `first` on, as far as they are on one line and before `last`.
Windows::Line Windows::LineOf(const WindowRow& row, int64_t first, int64_t last,
                              const float* diff_dst) const {
  const auto& [d, h, w] = axes_;
  const int64_t iw = first % w.in;
  const int64_t ih = first / w.in % h.in;
  const int64_t id = first / (w.in * h.in) % d.in;
  const int64_t image = first / (w.in * h.in * d.in);
  const int64_t od = id * d.stride + row.depth_tap * d.dilation - d.crop_begin;
  const int64_t oh = ih * h.stride + row.height_tap * h.dilation - h.crop_begin;
  Line line;
  line.inputs = {iw, std::min(w.in, iw + last - first)};
  if (od >= 0 && od < d.out && oh >= 0 && oh < h.out) {
    line.outputs = diff_dst + ((image * d.out + od) * h.out + oh) * w.out * channels_;
  }
  return line;
}

void Windows::GatherLine(const WindowRow& row, const Line& line, int64_t columns,
                         float* matrix) const {
  const AxisGeometry& w = axes_[2];
  const int64_t length = row.width_taps * channels_;
  const int64_t last_tap = row.first_width_tap + row.width_taps - 1;
  const Range whole =
      line.outputs == nullptr
          ? Range{line.inputs.end, line.inputs.end}
          : Intersection(Intersection(LiveInputs(w, row.first_width_tap), LiveInputs(w, last_tap)),
                         line.inputs);
  const auto gather_part = [&](int64_t i) {
    float* window = matrix + (i - line.inputs.begin) * columns;
    std::memset(window, 0, FloatBytes(length));
    if (line.outputs == nullptr) return;
    const int64_t out = i * w.stride + row.first_width_tap * w.dilation - w.crop_begin;
    const Range inside = Intersection({out, out + row.width_taps}, {0, w.out});
    if (inside.size() == 0) return;
    std::memcpy(window + (inside.begin - out) * channels_, line.outputs + inside.begin * channels_,
                FloatBytes(inside.size() * channels_));
  };
  const int64_t whole_begin = std::min(whole.begin, line.inputs.end);
  for (int64_t i = line.inputs.begin; i < whole_begin; ++i) gather_part(i);
  if (whole.size() > 0) {
    const int64_t out = whole.begin * w.stride + row.first_width_tap * w.dilation - w.crop_begin;
    CopyBlocks(line.outputs + out * channels_, w.stride * channels_, whole.size(), length,
               matrix + (whole.begin - line.inputs.begin) * columns, columns);
  }
  for (int64_t i = whole_begin + whole.size(); i < line.inputs.end; ++i) gather_part(i);
}

}  // namespace tconv::server
