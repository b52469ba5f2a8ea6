// How overlap-add cuts a channels_last problem: index arithmetic alone.
//
// Along one axis, output o = stride * p + phase - crop_begin at position p is
// the sum over the steps t of what input p - t * distance gives through tap
// phase + stride * t. A run is a range of phases with equally many steps; what
// one input gives through the taps of one step of a run is a piece, a block of
// phases * filters adjacent columns of a matrix product. So a position of a run
// is a sum of whole blocks.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "server/compute/overlap_layout.h"
#include "server/compute/phases.h"
#include "server/layer/geometry.h"

namespace tconv::server {

// One step of a run.
struct OverlapPiece {
  std::array<int64_t, 3> step;
  int64_t first_tap = 0;  // in the order of the columns
};

// One run of each axis: depth, height, width.
struct OverlapRun {
  std::array<TapRun, 3> axes;
  std::vector<OverlapPiece> pieces;

  int64_t phases() const { return axes[0].phases * axes[1].phases * axes[2].phases; }
};

// A row is what lies inside of the row axis: planes of a volume, lines of an
// image. Where an image is a single line, the line is cut.
struct OverlapBlocks {
  explicit OverlapBlocks(const DeconvProblem& problem);

  std::array<AxisGeometry, 3> axes;
  size_t row_axis;
  bool is_line;  // one row only
  std::vector<OverlapRun> runs;
  std::vector<int64_t> taps;  // of the kernel, in the order of the columns
  int64_t filters_per_task;
  int64_t rows_per_tile;
  std::vector<OverlapTask> tasks;  // of one image; those of equal filters follow each other

  // The positions and inputs that a task touches along an axis.
  Range PositionsOf(const OverlapTask& task, size_t axis) const;
  Range InputsOf(const OverlapTask& task, size_t axis) const;

  // The inputs that a task multiplies when `tile` are the rows.
  std::array<Range, 3> InputsOf(const OverlapTask& task, const Range& tile) const;

  // Of the products of a tile.
  int64_t TileBytes() const;

  // Columns of the product with so many filters, padded to whole vectors.
  int64_t Columns(int64_t filters) const;

 private:
  void ChooseFilters(const DeconvProblem& problem);
  void MakeRuns(const DeconvProblem& problem);
  OverlapRun MakeRun(const std::array<TapRun, 3>& run_axes);
  void FindPositions();
  void ChooseTiles();
  void MakeTasks(const DeconvProblem& problem);
  // How many tasks share the positions of an axis.
  int64_t PiecesOf(size_t cut_axis, const DeconvProblem& problem) const;
  // Of the sums of one row of inputs.
  int64_t RowBytes() const;

  std::array<Range, 3> positions_;  // with outputs
  std::array<int64_t, 3> reach_;    // inputs before a position that it reads
};

}  // namespace tconv::server
