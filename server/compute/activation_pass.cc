#include "server/compute/activation_pass.h"

#include "server/compute/run_over_elements.h"
#include "server/compute/weave.h"
#include "server/compute/wide_type.h"

namespace tconv::server {
namespace {

Status ActivateDoubles(WorkerPool& pool, const Activation& activation, ConstTensorView z,
                       TensorView y) {
  const ElementRuns runs(z.shape.num_elements(), 1);
  return ForEachRun(pool, runs, 0, [&](int64_t run, std::byte*) {
    const TensorView values = ElementsOf(y, runs, run);
    Convert(ElementsOf(z, runs, run), values);
    activation.ApplyElementwise(values.values<double>());
    return OkStatus();
  });
}

// As the strategies finish their sums, to which the bias was added before.
Status ActivateByWeave(WorkerPool& pool, const DeconvProblem& problem, ConstTensorView z,
                       TensorView y) {
  DeconvProblem unbiased = problem;
  unbiased.use_bias = false;
  TCONV_ASSIGN_OR_RETURN(const Weave weave, Weave::Make(unbiased, Weights()));
  const bool is_narrow = IsNarrow(z.dtype);
  const bool is_elementwise = problem.activation.is_elementwise();
  const ElementRuns runs(z.shape.num_elements(), is_elementwise ? 1 : problem.out_channels);
  return ForEachRun(pool, runs, is_narrow ? 1 : 0, [&](int64_t run, std::byte* scratch) {
    ConstTensorView sums = ElementsOf(z, runs, run);
    if (is_narrow) {
      const TensorView wide = {DType::kFloat32, sums.shape, scratch};
      Convert(sums, wide);
      sums = wide;
    }
    const int64_t length = is_elementwise ? runs.size(run) : problem.out_channels;
    const auto stride = static_cast<size_t>(length);
    weave.FinishRows({.sums = sums.values<float>().data(),
                      .stride = stride,
                      .rows = static_cast<size_t>(runs.size(run) / length),
                      .length = stride},
                     0, ElementsOf(y, runs, run).data, stride);
    return OkStatus();
  });
}

}  // namespace

Status ActivateAlongAxis(const Activation& activation, ConstTensorView z, TensorView y) {
  if (!IsNarrow(z.dtype)) {
    activation.ApplyAlongAxis(z, y);
    return OkStatus();
  }
  TCONV_ASSIGN_OR_RETURN(Tensor wide, Tensor::Converted(z, DType::kFloat32));
  TCONV_ASSIGN_OR_RETURN(Tensor result, Tensor::Allocate(DType::kFloat32, y.shape));
  activation.ApplyAlongAxis(wide.view(), result.mutable_view());
  Convert(result.view(), y);
  return OkStatus();
}

Status ActivateResult(WorkerPool& pool, const DeconvProblem& problem, ConstTensorView z,
                      TensorView y) {
  const bool is_elementwise = problem.activation.is_elementwise();
  if (z.dtype == DType::kFloat64 && is_elementwise) {
    return ActivateDoubles(pool, problem.activation, z, y);
  }
  const bool is_of_channels =
      Weave::ActivatesPositions(problem) && problem.data_format == DataFormat::kChannelsLast;
  if (is_elementwise || is_of_channels) return ActivateByWeave(pool, problem, z, y);
  return ActivateAlongAxis(problem.activation, z, y);
}

Status ActivateTensor(WorkerPool& pool, const Activation& activation, DataFormat data_format,
                      ConstTensorView z, TensorView y) {
  if (z.shape.num_elements() == 0) return OkStatus();
  const bool is_planar = data_format == DataFormat::kChannelsFirst;
  const int spatial_rank = z.shape.rank() - 2;
  DeconvProblem problem;
  problem.batch = z.shape[0];
  problem.out_channels = z.shape[is_planar ? 1 : spatial_rank + 1];
  for (int i = 0; i < spatial_rank; ++i) {
    const int64_t extent = z.shape[(is_planar ? 2 : 1) + i];
    problem.axes.push_back({.in = extent, .out = extent});
  }
  problem.data_format = data_format;
  problem.dtype = z.dtype;
  problem.use_bias = false;
  problem.activation = activation;
  return ActivateResult(pool, problem, z, y);
}

StatusOr<Tensor> Activated(WorkerPool& pool, const Activation& activation, DataFormat data_format,
                           ConstTensorView z, BlockPool& memory) {
  TCONV_ASSIGN_OR_RETURN(const Shape shape, activation.OutputShape(z.shape));
  TCONV_ASSIGN_OR_RETURN(Tensor y, Tensor::Allocate(z.dtype, shape, memory));
  TCONV_RETURN_IF_ERROR(ActivateTensor(pool, activation, data_format, z, y.mutable_view()));
  return y;
}

}  // namespace tconv::server
