#include "server/compute/convert_on_pool.h"

#include "server/compute/run_over_elements.h"
#include "server/compute/weave_kernels.h"

namespace tconv::server {
namespace {

void ConvertRun(ConstTensorView src, TensorView dst) {
  if (src.dtype == DType::kBFloat16 && dst.dtype == DType::kFloat32) {
    WeaveKernelsForThisCpu().widen(reinterpret_cast<const BFloat16*>(src.data),
                                   static_cast<size_t>(src.shape.num_elements()),
                                   reinterpret_cast<float*>(dst.data));
  } else {
    Convert(src, dst);
  }
}

}  // namespace

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
