#include "server/compute/convert_on_pool.h"

#include <algorithm>

#include "server/compute/run_over_elements.h"
#include "server/compute/tiles.h"
#include "server/compute/weave_kernels.h"

namespace tconv::server {
namespace {

// What a task transposes of an image: enough to be worth a task. Runs of positions
// begin where cache lines do.
constexpr int64_t kElementsPerTask = 64 << 10;
constexpr int64_t kRunUnit = 32;

void ConvertRun(ConstTensorView src, TensorView dst) {
  if (src.dtype == DType::kBFloat16 && dst.dtype == DType::kFloat32) {
    WeaveKernelsForThisCpu().widen(reinterpret_cast<const BFloat16*>(src.data),
                                   static_cast<size_t>(src.shape.num_elements()),
                                   reinterpret_cast<float*>(dst.data));
  } else {
    Convert(src, dst);
  }
}

int64_t Bytes(DType dtype, int64_t elements) {
  return elements * static_cast<int64_t>(SizeOf(dtype));
}

// How images are cut for transposing.
struct ImageRuns {
  ImageRuns(int64_t elements, int64_t the_batch, int64_t the_channels)
      : batch(the_batch),
        channels(the_channels),
        positions(elements / std::max<int64_t>(1, batch * channels)),
        length(CeilDiv(kElementsPerTask, channels * kRunUnit) * kRunUnit) {}

  int64_t per_image() const { return CeilDiv(positions, length); }

  int64_t batch;
  int64_t channels;
  int64_t positions;  // of an image
  int64_t length;     // positions of each run but the last of an image
};

// Calls transpose(first element of the image, first position, positions) for every run.
template <typename Transpose>
Status TransposeRuns(WorkerPool& pool, const ImageRuns& runs, Transpose transpose) {
  const int64_t per_image = runs.per_image();
  const int64_t image_elements = runs.channels * runs.positions;
  return pool.Run({.tasks = runs.batch * per_image,
                   .expected_time = ConversionTime(runs.batch * image_elements)},
                  [&](int64_t task, std::byte*) {
                    const int64_t first = task % per_image * runs.length;
                    transpose(task / per_image * image_elements, first,
                              std::min(runs.length, runs.positions - first));
                    return OkStatus();
                  });
}

}  // namespace

Status PlanesToPixels(WorkerPool& pool, ConstTensorView planes, int64_t batch, int64_t channels,
                      TensorView pixels) {
  const ImageRuns runs(planes.shape.num_elements(), batch, channels);
  return TransposeRuns(pool, runs, [&](int64_t image, int64_t first, int64_t positions) {
    WeaveKernelsForThisCpu().transpose({.rows = static_cast<size_t>(channels),
                                        .columns = static_cast<size_t>(positions),
                                        .from = planes.dtype,
                                        .src_stride = static_cast<size_t>(runs.positions),
                                        .to = pixels.dtype,
                                        .dst_stride = static_cast<size_t>(channels)},
                                       planes.data + Bytes(planes.dtype, image + first),
                                       pixels.data + Bytes(pixels.dtype, image + first * channels));
  });
}

Status PixelsToPlanes(WorkerPool& pool, ConstTensorView pixels, int64_t batch, int64_t channels,
                      TensorView planes) {
  const ImageRuns runs(pixels.shape.num_elements(), batch, channels);
  return TransposeRuns(pool, runs, [&](int64_t image, int64_t first, int64_t positions) {
    WeaveKernelsForThisCpu().transpose({.rows = static_cast<size_t>(positions),
                                        .columns = static_cast<size_t>(channels),
                                        .from = pixels.dtype,
                                        .src_stride = static_cast<size_t>(channels),
                                        .to = planes.dtype,
                                        .dst_stride = static_cast<size_t>(runs.positions)},
                                       pixels.data + Bytes(pixels.dtype, image + first * channels),
                                       planes.data + Bytes(planes.dtype, image + first));
  });
}

Status ConvertOnPool(WorkerPool& pool, ConstTensorView src, TensorView dst) {
  const ElementRuns runs(src.shape.num_elements(), 1);
  return ForEachRun(pool, runs, 0, [&](int64_t run, std::byte*) {
    ConvertRun(ElementsOf(src, runs, run), ElementsOf(dst, runs, run));
    return OkStatus();
  });
}

StatusOr<Tensor> ConvertedOnPool(WorkerPool& pool, ConstTensorView source, DType dtype) {
  TCONV_ASSIGN_OR_RETURN(Tensor converted, Tensor::Allocate(dtype, source.shape));
  TCONV_RETURN_IF_ERROR(ConvertOnPool(pool, source, converted.mutable_view()));
  return converted;
}

}  // namespace tconv::server
