#include "server/host/slab_computation.h"

#include <cstring>

namespace tconv::server {
namespace {

// Rows of a tensor [images][planes][rows][...], of which a part with the same
// planes has some. channels_last tensors have one plane.
struct RowWindow {
  RowWindow(const Shape& whole, const Shape& part, DataFormat format, DType dtype,
            int64_t first_image, int64_t first_row) {
    const int row_axis = format == DataFormat::kChannelsLast ? 1 : 2;
    const int64_t planes_of_image = row_axis == 1 ? 1 : whole[1];
    int64_t row_bytes = static_cast<int64_t>(SizeOf(dtype));
    for (int axis = row_axis + 1; axis < whole.rank(); ++axis) row_bytes *= whole[axis];
    planes = part[0] * planes_of_image;
    plane_bytes = whole[row_axis] * row_bytes;
    bytes = part[row_axis] * row_bytes;
    begin = first_image * planes_of_image * plane_bytes + first_row * row_bytes;
  }

  bool IsContiguous() const { return planes == 1 || bytes == plane_bytes; }

  // Offsets in the whole and in the part.
  size_t InWhole(int64_t plane) const { return static_cast<size_t>(begin + plane * plane_bytes); }
  size_t InPart(int64_t plane) const { return static_cast<size_t>(plane * bytes); }

  int64_t planes = 0;       // of the part
  int64_t plane_bytes = 0;  // of the whole
  int64_t bytes = 0;        // of a plane of the part
  int64_t begin = 0;        // of the part, in the whole
};

}  // namespace

Status SlabComputation::Execute(const Slab& slab, ConstTensorView src, TensorView dst) const {
  if (dst.shape.num_elements() == 0) return OkStatus();
  TCONV_ASSIGN_OR_RETURN(const std::shared_ptr<const CachedPlan> plan, PlanOf(slab));
  return plan->Execute(src, dst);
}

Status SlabComputation::ExecuteAll(ConstTensorView src, TensorView dst) const {
  for (int64_t i = 0; i < slabs_.size(); ++i) {
    const Slab slab = slabs_[i];
    const Shape src_shape = slab.problem.src_shape();
    const Shape dst_shape = slab.problem.dst_shape();
    const DataFormat format = problem_.data_format;
    const RowWindow in(src.shape, src_shape, format, src.dtype, slab.first_image,
                       slab.first_in_row);
    const RowWindow out(dst.shape, dst_shape, format, dst.dtype, slab.first_image,
                        slab.first_out_row);
    if (in.IsContiguous() && out.IsContiguous()) {
      TCONV_RETURN_IF_ERROR(Execute(slab, {src.dtype, src_shape, src.data + in.InWhole(0)},
                                    {dst.dtype, dst_shape, dst.data + out.InWhole(0)}));
      continue;
    }
    TCONV_ASSIGN_OR_RETURN(Tensor part_src, Tensor::Allocate(src.dtype, src_shape, memory_));
    TCONV_ASSIGN_OR_RETURN(Tensor part_dst, Tensor::Allocate(dst.dtype, dst_shape, memory_));
    for (int64_t plane = 0; plane < in.planes; ++plane) {
      std::memcpy(part_src.mutable_view().data + in.InPart(plane), src.data + in.InWhole(plane),
                  static_cast<size_t>(in.bytes));
    }
    TCONV_RETURN_IF_ERROR(Execute(slab, part_src.view(), part_dst.mutable_view()));
    for (int64_t plane = 0; plane < out.planes; ++plane) {
      std::memcpy(dst.data + out.InWhole(plane), part_dst.view().data + out.InPart(plane),
                  static_cast<size_t>(out.bytes));
    }
  }
  return OkStatus();
}

PenaltySums SlabComputation::SumsOf(ConstTensorView dst) const {
  PenaltySums sums;
  for (int64_t i = 0; i < slabs_.size(); ++i) {
    const Slab slab = slabs_[i];
    const RowWindow out(dst.shape, slab.problem.dst_shape(), problem_.data_format, dst.dtype,
                        slab.first_image, slab.first_out_row);
    const int64_t elements = out.bytes / static_cast<int64_t>(SizeOf(dst.dtype));
    for (int64_t plane = 0; plane < out.planes; ++plane) {
      sums.Add({dst.dtype, {elements}, dst.data + out.InWhole(plane)});
    }
  }
  return sums;
}

}  // namespace tconv::server
