#include "server/compute/overlap_layout.h"

#include "server/compute/tiles.h"

namespace tconv::server {
namespace {

// Of the product of one tile; two are kept at a time.
constexpr int64_t kTileBytes = 384 << 10;
// From so many rows on a matrix product runs at its full speed.
constexpr int64_t kEnoughRows = 96;
// As for phase convolution.
constexpr int64_t kEnoughColumns = 256;
constexpr int64_t kEnoughTasks = 16;
// A cut computes the inputs that both sides need twice; this keeps the waste
// near one part in so many.
constexpr int64_t kRowsPerSharedRow = 16;

}  // namespace

OverlapAxis::OverlapAxis(const AxisGeometry& geometry)
    : axis(geometry), live_tap(static_cast<size_t>(geometry.kernel), -1) {
  const int64_t s = axis.stride;
  reach = s == 1 ? (axis.kernel - 1) * axis.dilation : (axis.kernel - 1) / s;
  positions = {axis.crop_begin / s, (axis.out - 1 + axis.crop_begin) / s + 1};
  for (int64_t tap = 0; tap < axis.kernel; ++tap) {
    if (LiveInputs(axis, tap).size() > 0) live_tap[static_cast<size_t>(tap)] = live_taps++;
  }
}

OverlapLayout::OverlapLayout(const DeconvProblem& problem)
    : axes{OverlapAxis(SpatialAxes(problem)[0]), OverlapAxis(SpatialAxes(problem)[1]),
           OverlapAxis(SpatialAxes(problem)[2])},
      row_axis(axes[0].axis.in > 1 ? 0 : 1),
      row_inputs(row_axis == 0 ? axes[1].axis.in * axes[2].axis.in : axes[2].axis.in),
      taps(axes[0].live_taps * axes[1].live_taps * axes[2].live_taps),
      is_line(rows().axis.in == 1) {
  ChooseTile(problem);
  MakeTasks(problem);
}

void OverlapLayout::ChooseTile(const DeconvProblem& problem) {
  const int64_t column_bytes = std::max<int64_t>(1, taps) * static_cast<int64_t>(sizeof(float));
  const int64_t row_axis_inputs = rows().axis.in;
  // The rows that a position reads lie in one tile and the one before it.
  const int64_t fewest_rows = std::clamp<int64_t>(rows().reach, 1, row_axis_inputs);
  const int64_t columns = std::max(fewest_rows * row_inputs, kEnoughColumns);
  const int64_t filters = std::max(kTileBytes / (column_bytes * columns),
                                   CeilDiv(kEnoughRows, std::max<int64_t>(1, taps)));
  filters_per_task = CeilDiv(problem.out_channels, CeilDiv(problem.out_channels, filters));
  const int64_t row_bytes = column_bytes * filters_per_task * row_inputs;
  const int64_t fit = std::clamp(kTileBytes / row_bytes, fewest_rows, row_axis_inputs);
  rows_per_tile = std::max(fewest_rows, CeilDiv(row_axis_inputs, CeilDiv(row_axis_inputs, fit)));
}

int64_t OverlapLayout::TileBytes() const {
  const OverlapTask& task = tasks.front();
  return rows_per_tile * RowInputs(task) * taps * task.filters *
         static_cast<int64_t>(sizeof(float));
}

void OverlapLayout::MakeTasks(const DeconvProblem& problem) {
  const OverlapAxis& cut = is_line ? width() : rows();
  const int64_t filter_sets = CeilDiv(problem.out_channels, filters_per_task);
  const int64_t multiplications =
      taps * filters_per_task * problem.in_channels * rows().axis.in * row_inputs;
  const int64_t shortest = std::max<int64_t>(1, cut.reach * kRowsPerSharedRow);
  int64_t pieces =
      std::min(CeilDiv(kEnoughTasks, filter_sets), multiplications / kMultiplicationsPerTask);
  if (is_line) {
    const int64_t column_bytes =
        std::max<int64_t>(1, taps) * filters_per_task * static_cast<int64_t>(sizeof(float));
    const int64_t fit = kTileBytes / column_bytes;
    pieces = std::max(pieces, cut.positions.size() / std::max(fit, kEnoughColumns));
  }
  pieces = std::clamp<int64_t>(pieces, 1, std::max<int64_t>(1, cut.positions.size() / shortest));

  for (int64_t first = 0; first < problem.out_channels; first += filters_per_task) {
    for (int64_t piece = 0; piece < pieces; ++piece) {
      const Range range = {cut.positions.begin + cut.positions.size() * piece / pieces,
                           cut.positions.begin + cut.positions.size() * (piece + 1) / pieces};
      OverlapTask task;
      task.first_filter = first;
      task.filters = std::min(filters_per_task, problem.out_channels - first);
      task.rows = is_line ? rows().positions : range;
      task.columns = is_line ? range : width().positions;
      tasks.push_back(task);
    }
  }
}

}  // namespace tconv::server
