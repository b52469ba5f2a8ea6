#include "server/compute/overlap_blocks.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "server/compute/tiles.h"

namespace tconv::server {
namespace {

// Of the products of one tile; two are kept at a time.
constexpr int64_t kTileBytes = 384 << 10;
// Some ten microseconds: as long as it takes to share work with another thread.
constexpr int64_t kMultiplicationsPerPiece = 1'000'000;
constexpr int64_t kEnoughTasks = 16;
// A cut computes the inputs that both sides need twice; this keeps the waste
// below one part in so many.
constexpr int64_t kRowsPerSharedRow = 32;

int64_t TapOf(const TapRun& run, const AxisGeometry& axis, int64_t phase, int64_t step) {
  return run.first_phase + phase + axis.stride * step;
}

template <typename Visitor>
void ForEachStep(const std::array<TapRun, 3>& axes, Visitor visit) {
  for (int64_t d = 0; d < axes[0].steps; ++d) {
    for (int64_t h = 0; h < axes[1].steps; ++h) {
      for (int64_t w = 0; w < axes[2].steps; ++w) visit(std::array<int64_t, 3>{d, h, w});
    }
  }
}

}  // namespace

OverlapBlocks::OverlapBlocks(const DeconvProblem& problem)
    : axes(SpatialAxes(problem)),
      row_axis(axes[0].in > 1 ? 0 : 1),
      is_line(axes[row_axis].in == 1) {
  ChooseFilters(problem);
  MakeRuns(problem);
  FindPositions();
  ChooseTiles();
  MakeTasks(problem);
}

void OverlapBlocks::ChooseFilters(const DeconvProblem& problem) {
  int64_t weights_per_filter = problem.in_channels;
  for (const AxisGeometry& axis : axes) weights_per_filter *= axis.kernel;
  const int64_t bytes = weights_per_filter * static_cast<int64_t>(sizeof(float));
  filters_per_task = std::min(problem.out_channels, FiltersPerSet(problem, bytes));
}

void OverlapBlocks::MakeRuns(const DeconvProblem& problem) {
  // Phases of the width share runs of the output only with all of their filters.
  const bool has_all_filters = filters_per_task == problem.out_channels;
  std::array<std::vector<TapRun>, 3> axis_runs;
  for (size_t i = 0; i < 3; ++i) axis_runs[i] = TapRunsOf(axes[i], i < 2 || has_all_filters);
  for (const TapRun& d : axis_runs[0]) {
    for (const TapRun& h : axis_runs[1]) {
      for (const TapRun& w : axis_runs[2]) runs.push_back(MakeRun({d, h, w}));
    }
  }
}

OverlapRun OverlapBlocks::MakeRun(const std::array<TapRun, 3>& run_axes) {
  const TapRun& d = run_axes[0];
  const TapRun& h = run_axes[1];
  const TapRun& w = run_axes[2];
  OverlapRun run;
  run.axes = run_axes;
  ForEachStep(run_axes, [&](const std::array<int64_t, 3>& step) {
    run.pieces.push_back({step, static_cast<int64_t>(taps.size())});
    for (int64_t i = 0; i < run.phases(); ++i) {
      const int64_t kd = TapOf(d, axes[0], i / (h.phases * w.phases), step[0]);
      const int64_t kh = TapOf(h, axes[1], i / w.phases % h.phases, step[1]);
      const int64_t kw = TapOf(w, axes[2], i % w.phases, step[2]);
      taps.push_back((kd * axes[1].kernel + kh) * axes[2].kernel + kw);
    }
  });
  return run;
}

void OverlapBlocks::FindPositions() {
  for (size_t i = 0; i < 3; ++i) {
    positions_[i] = runs.front().axes[i].positions;
    reach_[i] = 0;
    for (const OverlapRun& run : runs) {
      const TapRun& part = run.axes[i];
      positions_[i].begin = std::min(positions_[i].begin, part.positions.begin);
      positions_[i].end = std::max(positions_[i].end, part.positions.end);
      reach_[i] = std::max(reach_[i], (part.steps - 1) * part.distance);
    }
  }
}

Range OverlapBlocks::PositionsOf(const OverlapTask& task, size_t axis) const {
  if (axis == row_axis) return task.rows;
  return axis == 2 ? task.columns : positions_[axis];
}

Range OverlapBlocks::InputsOf(const OverlapTask& task, size_t axis) const {
  const Range positions = PositionsOf(task, axis);
  return Intersection({positions.begin - reach_[axis], positions.end}, {0, axes[axis].in});
}

std::array<Range, 3> OverlapBlocks::InputsOf(const OverlapTask& task, const Range& tile) const {
  std::array<Range, 3> inputs;
  for (size_t i = 0; i < 3; ++i) inputs[i] = {0, axes[i].in};
  inputs[row_axis] = tile;
  if (is_line) inputs[2] = InputsOf(task, size_t{2});
  return inputs;
}

int64_t OverlapBlocks::Columns(int64_t filters) const {
  constexpr int64_t kLanes = 16;
  return CeilDiv(static_cast<int64_t>(taps.size()) * filters, kLanes) * kLanes;
}

void OverlapBlocks::ChooseTiles() {
  const int64_t rows = axes[row_axis].in;
  // The rows that a position reads lie in one tile and the one before it.
  const int64_t fewest_rows = std::clamp<int64_t>(reach_[row_axis], 1, rows);
  const int64_t rows_that_fit = std::clamp(kTileBytes / RowBytes(), fewest_rows, rows);
  rows_per_tile = std::max(fewest_rows, CeilDiv(rows, CeilDiv(rows, rows_that_fit)));
}

int64_t OverlapBlocks::TileBytes() const {
  const std::array<Range, 3> inputs = InputsOf(tasks.front(), Range{0, rows_per_tile});
  return inputs[0].size() * inputs[1].size() * inputs[2].size() * Columns(filters_per_task) *
         static_cast<int64_t>(sizeof(float));
}

int64_t OverlapBlocks::RowBytes() const {
  int64_t row_inputs = 1;
  for (size_t i = row_axis + 1; i < 3; ++i) row_inputs *= axes[i].in;
  return row_inputs * std::max<int64_t>(1, Columns(filters_per_task)) *
         static_cast<int64_t>(sizeof(float));
}

void OverlapBlocks::MakeTasks(const DeconvProblem& problem) {
  const size_t cut_axis = is_line ? 2 : row_axis;
  const Range cut = positions_[cut_axis];
  const int64_t pieces = PiecesOf(cut_axis, problem);
  for (int64_t first = 0; first < problem.out_channels; first += filters_per_task) {
    for (int64_t piece = 0; piece < pieces; ++piece) {
      const Range range = {cut.begin + cut.size() * piece / pieces,
                           cut.begin + cut.size() * (piece + 1) / pieces};
      OverlapTask task;
      task.first_filter = first;
      task.filters = std::min(filters_per_task, problem.out_channels - first);
      task.rows = is_line ? positions_[row_axis] : range;
      task.columns = is_line ? range : positions_[2];
      tasks.push_back(task);
    }
  }
}

int64_t OverlapBlocks::PiecesOf(size_t cut_axis, const DeconvProblem& problem) const {
  const int64_t filter_sets = CeilDiv(problem.out_channels, filters_per_task);
  const int64_t bytes = RowBytes() * axes[row_axis].in;  // of all sums of a set
  const int64_t multiplications = bytes / static_cast<int64_t>(sizeof(float)) * problem.in_channels;
  int64_t pieces =
      std::min(CeilDiv(kEnoughTasks, filter_sets), multiplications / kMultiplicationsPerPiece);
  if (is_line) pieces = std::max(pieces, bytes / kTileBytes);
  const int64_t length = positions_[cut_axis].size();
  const int64_t shared = std::max<int64_t>(1, reach_[cut_axis] * kRowsPerSharedRow);
  pieces = std::clamp<int64_t>(std::min(pieces, 1 + length / shared), 1, length);
  // As many for each of two, four or eight threads.
  return static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(pieces)));
}

}  // namespace tconv::server
