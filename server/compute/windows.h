// The windows of outputs that inputs contribute to, as the rows of a matrix: index
// arithmetic and copying alone.
//
// Input position i of a transposed convolution reaches the outputs i * stride +
// tap * dilation - crop_begin. Row i of the matrix has, for each tap that reaches an
// output from anywhere, the channels of that output, or zeros where it lies outside of
// the image. In this order of columns the kernel [taps * out_channels, in_channels]
// is the other factor of both gradients, as it is:
//
//   diff_src = windows(diff_dst) * kernel
//   diff_kernel = windows(diff_dst)^T * src
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "server/compute/phases.h"
#include "server/layer/geometry.h"

namespace tconv::server {

// Taps along the width, and their place on the other axes.
struct WindowRow {
  int64_t depth_tap = 0;
  int64_t height_tap = 0;
  int64_t first_width_tap = 0;
  int64_t width_taps = 0;    // one, where the width is dilated
  int64_t first_column = 0;  // within its chunk
  Range whole;               // inputs of the width whose outputs are all in the image
};

// Columns that are made at once. Their taps follow each other in the kernel.
struct WindowChunk {
  std::vector<WindowRow> rows;
  int64_t first_kernel_row = 0;  // of the kernel as a matrix
  int64_t columns = 0;
};

class Windows {
 public:
  // Chunks have about `columns_per_chunk`, and one tap at least.
  Windows(const DeconvProblem& problem, int64_t columns_per_chunk);

  // In the order of the kernel; what they leave out reaches no output.
  const std::vector<WindowChunk>& chunks() const { return chunks_; }

  // Of all images together.
  int64_t positions() const { return positions_; }

  // Writes the columns of a chunk of the positions [first, first + count) to `matrix`,
  // [count][chunk.columns]. `diff_dst` is channels_last.
  void Gather(const WindowChunk& chunk, int64_t first, int64_t count, const float* diff_dst,
              float* matrix) const;

 private:
  // Positions that follow each other along the width.
  struct Run {
    int64_t image;
    int64_t depth;
    int64_t height;
    Range width;
  };

  void AddChunks(int64_t columns_per_chunk);
  Run RunAt(int64_t position, int64_t longest) const;
  // The line of outputs that a row of a run reaches; null outside of the image.
  const float* LineOf(const WindowRow& row, const Run& run, const float* diff_dst) const;
  void GatherRow(const WindowRow& row, const Range& inputs, const float* line, int64_t columns,
                 float* matrix) const;
  void GatherPart(const WindowRow& row, int64_t input, const float* line, float* window) const;

  const std::array<AxisGeometry, 3> axes_;
  const int64_t channels_;  // of the outputs
  const int64_t positions_;
  std::vector<WindowChunk> chunks_;
};

}  // namespace tconv::server
