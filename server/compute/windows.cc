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
        chunk.rows.push_back({kd, kh, kw, taps, chunk.columns,
                              Intersection(LiveInputs(w, kw), LiveInputs(w, kw + taps - 1))});
        chunk.columns += taps * channels_;
      }
    }
  }
}

// Rows of a few positions stay in the L1 cache while one tap after the other is copied.
void Windows::Gather(const WindowChunk& chunk, int64_t first, int64_t count, const float* diff_dst,
                     float* matrix) const {
  constexpr int64_t kFloatsInCache = 6 << 10;
  constexpr int64_t kLeastPositions = 8;
  const int64_t longest = std::max(kLeastPositions, kFloatsInCache / chunk.columns);
  for (int64_t done = 0; done < count;) {
    const Run run = RunAt(first + done, std::min(longest, count - done));
    for (const WindowRow& row : chunk.rows) {
      GatherRow(row, run.width, LineOf(row, run, diff_dst), chunk.columns,
                matrix + done * chunk.columns + row.first_column);
    }
    done += run.width.size();
  }
}

Windows::Run Windows::RunAt(int64_t position, int64_t longest) const {
  const auto& [d, h, w] = axes_;
  const int64_t line = position / w.in;
  const int64_t begin = position % w.in;
  return {.image = line / (h.in * d.in),
          .depth = line / h.in % d.in,
          .height = line % h.in,
          .width = {begin, std::min(w.in, begin + longest)}};
}

const float* Windows::LineOf(const WindowRow& row, const Run& run, const float* diff_dst) const {
  const auto& [d, h, w] = axes_;
  const int64_t od = run.depth * d.stride + row.depth_tap * d.dilation - d.crop_begin;
  const int64_t oh = run.height * h.stride + row.height_tap * h.dilation - h.crop_begin;
  if (od < 0 || od >= d.out || oh < 0 || oh >= h.out) return nullptr;
  return diff_dst + ((run.image * d.out + od) * h.out + oh) * w.out * channels_;
}

void Windows::GatherRow(const WindowRow& row, const Range& inputs, const float* line,
                        int64_t columns, float* matrix) const {
  const AxisGeometry& w = axes_[2];
  Range whole = {inputs.end, inputs.end};
  if (line != nullptr && row.whole.begin < inputs.end) whole = Intersection(inputs, row.whole);
  for (int64_t i = inputs.begin; i < whole.begin; ++i) {
    GatherPart(row, i, line, matrix + (i - inputs.begin) * columns);
  }
  if (whole.size() > 0) {
    const int64_t out = whole.begin * w.stride + row.first_width_tap * w.dilation - w.crop_begin;
    CopyBlocks(line + out * channels_, w.stride * channels_, whole.size(),
               row.width_taps * channels_, matrix + (whole.begin - inputs.begin) * columns,
               columns);
  }
  for (int64_t i = whole.end; i < inputs.end; ++i) {
    GatherPart(row, i, line, matrix + (i - inputs.begin) * columns);
  }
}

// The taps of one input, of which some may lie outside.
void Windows::GatherPart(const WindowRow& row, int64_t input, const float* line,
                         float* window) const {
  const AxisGeometry& w = axes_[2];
  std::memset(window, 0, FloatBytes(row.width_taps * channels_));
  if (line == nullptr) return;
  const int64_t out = input * w.stride + row.first_width_tap * w.dilation - w.crop_begin;
  const Range inside = Intersection({out, out + row.width_taps}, {0, w.out});
  if (inside.size() == 0) return;
  std::memcpy(window + (inside.begin - out) * channels_, line + inside.begin * channels_,
              FloatBytes(inside.size() * channels_));
}

}  // namespace tconv::server
