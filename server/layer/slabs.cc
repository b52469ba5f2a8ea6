#include "server/layer/slabs.h"

#include <algorithm>

namespace tconv::server {
namespace {

// Rows of the halo are read, and may be multiplied, twice.
constexpr int64_t kRowsPerHaloRow = 4;

// Of input and output.
int64_t BytesOf(const DeconvProblem& problem) {
  return (problem.src_shape().num_elements() + problem.dst_shape().num_elements()) *
         static_cast<int64_t>(SizeOf(problem.dtype));
}

// Output o = stride * p + phase - crop_begin is at position p, with 0 <= phase <
// stride. It reads inputs p - reach ... p at most.
int64_t ReachOf(const AxisGeometry& axis) { return (axis.effective_kernel() - 1) / axis.stride; }

int64_t FirstPosition(const AxisGeometry& axis) { return axis.crop_begin / axis.stride; }

// Positions that new inputs complete; those behind the last input are left to
// its slab.
int64_t PositionsOf(const AxisGeometry& axis) {
  if (axis.out == 0) return 0;
  const int64_t last = (axis.out - 1 + axis.crop_begin) / axis.stride;
  return std::max<int64_t>(0, std::min(last + 1, axis.in) - FirstPosition(axis));
}

// The largest number in [1, most] that `fits`, if any does, for a `fits` that
// holds for all smaller ones, too; else 0.
int64_t LargestThat(int64_t most, const std::function<bool(int64_t)>& fits) {
  int64_t fitting = 0;
  for (int64_t end = most + 1; fitting + 1 < end;) {
    const int64_t middle = fitting + (end - fitting) / 2;
    (fits(middle) ? fitting : end) = middle;
  }
  return fitting;
}

}  // namespace

SlabCuts CutsOf(const DeconvProblem& problem) {
  if (problem.activation.is_elementwise()) return {};
  const int spatial_rank = static_cast<int>(problem.axes.size());
  const int outermost = problem.data_format == DataFormat::kChannelsLast ? 1 : 2;
  const int axis = *problem.activation.AxisOf(spatial_rank + 2);
  return {.images = axis != 0, .rows = axis != 0 && axis != outermost};
}

Slabs::Slabs(const DeconvProblem& problem, int64_t images_per_slab, int64_t rows_per_slab)
    : problem_(problem),
      images_per_slab_(images_per_slab),
      rows_per_slab_(rows_per_slab),
      image_sets_(std::max<int64_t>(1, CeilDiv(problem.batch, images_per_slab))),
      slabs_per_image_(std::max<int64_t>(1, CeilDiv(PositionsOf(problem.axes[0]), rows_per_slab))) {
}

Slabs::Slabs(const DeconvProblem& problem)
    : Slabs(problem, std::max<int64_t>(1, problem.batch),
            std::max<int64_t>(1, PositionsOf(problem.axes[0]))) {}

Slabs Slabs::OfImages(const DeconvProblem& problem, int64_t images) {
  return {problem, images, std::max<int64_t>(1, PositionsOf(problem.axes[0]))};
}

Slabs Slabs::OfRows(const DeconvProblem& problem, int64_t rows) { return {problem, 1, rows}; }

Slab Slabs::operator[](int64_t index) const {
  if (slabs_per_image_ > 1) {
    return RowsOfImage(index / slabs_per_image_, index % slabs_per_image_);
  }
  Slab slab{problem_};
  slab.first_image = index * images_per_slab_;
  slab.problem.batch = std::min(images_per_slab_, problem_.batch - slab.first_image);
  return slab;
}

Slab Slabs::RowsOfImage(int64_t image, int64_t index) const {
  Slab slab{problem_};
  slab.problem.batch = 1;
  slab.first_image = image;
  const AxisGeometry& whole = problem_.axes[0];
  const int64_t begin = FirstPosition(whole) + index * rows_per_slab_;
  const int64_t end = begin + rows_per_slab_;
  const bool is_last = index == slabs_per_image_ - 1;
  const auto first_output = [&](int64_t position) {
    return std::max<int64_t>(0, position * whole.stride - whole.crop_begin);
  };
  slab.first_in_row = index == 0 ? 0 : std::max<int64_t>(0, begin - ReachOf(whole));
  slab.first_out_row = first_output(begin);
  // Input 0 of the slab lands first_in_row * stride further on in the image, and
  // output 0 is first_out_row.
  AxisGeometry& axis = slab.problem.axes[0];
  axis.in = (is_last ? whole.in : end) - slab.first_in_row;
  axis.out = (is_last ? whole.out : first_output(end)) - slab.first_out_row;
  axis.crop_begin += slab.first_out_row - slab.first_in_row * whole.stride;
  return slab;
}

int64_t Slabs::LargestBytes(const std::function<int64_t(const DeconvProblem&)>& bytes_of) const {
  int64_t largest = 0;
  for (const int64_t index : {int64_t{0}, int64_t{1}, slabs_per_image_ - 1}) {
    if (index < slabs_per_image_) largest = std::max(largest, bytes_of((*this)[index].problem));
  }
  return largest;
}

Slabs SlabsOf(const DeconvProblem& problem, int64_t slab_bytes) {
  const auto fits = [&](const Slabs& slabs) { return slabs.LargestBytes(BytesOf) <= slab_bytes; };
  const SlabCuts cuts = CutsOf(problem);
  if (!cuts.images || fits(Slabs(problem))) return Slabs(problem);
  const int64_t images = LargestThat(
      problem.batch, [&](int64_t count) { return fits(Slabs::OfImages(problem, count)); });
  if (images > 0 || !cuts.rows) return Slabs::OfImages(problem, std::max<int64_t>(1, images));
  const AxisGeometry& axis = problem.axes[0];
  const int64_t rows =
      LargestThat(axis.in, [&](int64_t count) { return fits(Slabs::OfRows(problem, count)); });
  return Slabs::OfRows(problem, std::max({int64_t{1}, rows, kRowsPerHaloRow * ReachOf(axis)}));
}

}  // namespace tconv::server
