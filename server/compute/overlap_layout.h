// How overlap-add cuts a channels_first problem: index arithmetic alone.
//
// Along one axis, output o = stride * p + phase - crop_begin at position p reads
// inputs p - reach ... p. Overlap-add multiplies all taps with tiles of inputs
// and sums shifted rows of the products.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "server/compute/phases.h"
#include "server/layer/geometry.h"

namespace tconv::server {

// An axis as overlap-add sees it. REQUIRES: not strided and dilated.
struct OverlapAxis {
  explicit OverlapAxis(const AxisGeometry& geometry);

  AxisGeometry axis;
  int64_t reach = 0;
  Range positions;                // with outputs
  std::vector<int64_t> live_tap;  // index of a kernel tap among those that reach an output, or -1
  int64_t live_taps = 0;

  // The inputs that a range of positions reads.
  Range InputsOf(const Range& of_positions) const {
    const int64_t begin = std::max<int64_t>(0, of_positions.begin - reach);
    return {begin, std::max(begin, std::min(axis.in, of_positions.end))};
  }
};

// What one task computes of each image.
struct OverlapTask {
  int64_t first_filter = 0;
  int64_t filters = 0;
  Range rows;     // positions along the row axis
  Range columns;  // positions along the width
};

// How a problem is cut. A row is what lies inside of the row axis: planes of a
// volume, lines of an image. Where an image is a single line, the line is cut.
struct OverlapLayout {
  explicit OverlapLayout(const DeconvProblem& problem);

  std::array<OverlapAxis, 3> axes;
  size_t row_axis;
  int64_t row_inputs;  // input positions of a full row
  int64_t taps;        // that reach an output; none may
  int64_t filters_per_task;
  int64_t rows_per_tile;
  std::vector<OverlapTask> tasks;  // of one image

  const OverlapAxis& rows() const { return axes[row_axis]; }
  const OverlapAxis& width() const { return axes[2]; }

  // Input positions of a row that a task reads.
  int64_t RowInputs(const OverlapTask& task) const {
    return is_line ? width().InputsOf(task.columns).size() : row_inputs;
  }

  // Of the products of a tile.
  int64_t TileBytes() const;

  bool is_line;  // one row only

 private:
  void ChooseTile(const DeconvProblem& problem);
  void MakeTasks(const DeconvProblem& problem);
};

// Calls visit(first_row, rows) for the tiles of inputs that a task reads.
template <typename Visitor>
void ForEachTile(const OverlapLayout& layout, const OverlapTask& task, Visitor visit) {
  const Range inputs = layout.rows().InputsOf(task.rows);
  if (layout.taps == 0 || layout.RowInputs(task) == 0) return;
  for (int64_t row = inputs.begin; row < inputs.end; row += layout.rows_per_tile) {
    visit(row, std::min(layout.rows_per_tile, inputs.end - row));
  }
}

}  // namespace tconv::server
