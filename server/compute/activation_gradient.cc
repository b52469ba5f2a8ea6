#include "server/compute/activation_gradient.h"

#include <algorithm>
#include <span>
#include <utility>

#include "server/compute/convert_on_pool.h"
#include "server/compute/gradient_kernels.h"
#include "server/compute/image_loops.h"
#include "server/compute/run_over_elements.h"
#include "server/compute/vector_form.h"
#include "server/compute/wide_type.h"

namespace tconv::server {
namespace {

size_t Index(int64_t index) { return static_cast<size_t>(index); }

// Rounds values to `dtype`.
void RoundRun(std::span<float> values, DType dtype) {
  if (!IsNarrow(dtype)) return;
  WeaveKernelsForThisCpu().finish_rows({.dtype = dtype},
                                       {values.data(), values.size(), 1, values.size()}, nullptr,
                                       /*widen_result=*/true, values.data(), values.size());
}
void RoundRun(std::span<double>, DType) {}

// sums[c] += values[r * columns + c]
void AddRows(std::span<const float> values, size_t columns, double* sums) {
  GradientKernelsForThisCpu().add_rows(values.data(), values.size() / columns, columns, sums);
}
void AddRows(std::span<const double> values, size_t columns, double* sums) {
  for (size_t i = 0; i < values.size(); ++i) sums[i % columns] += values[i];
}

// Sums over positions, for each channel. Runs have sums of their own, which are added
// in their order, whoever computed them.
class BiasGradient {
 public:
  // REQUIRES: runs are of whole positions under channels_last.
  static StatusOr<BiasGradient> Make(const DeconvProblem& problem, const ElementRuns& runs) {
    TCONV_ASSIGN_OR_RETURN(Tensor sums,
                           Tensor::Allocate(DType::kFloat64, {runs.count(), problem.out_channels}));
    return BiasGradient(problem, runs, std::move(sums));
  }

  template <typename T>
  void AddRun(int64_t run, std::span<const T> values) {
    double* sums = parts_.mutable_view().values<double>().data() + run * channels_;
    std::fill_n(sums, channels_, 0.0);
    if (plane_ == 1) return AddRows(values, Index(channels_), sums);
    for (int64_t element = runs_.first(run); !values.empty();) {
      const size_t rest = std::min(values.size(), Index(plane_ - element % plane_));
      AddRows(values.first(rest), 1, sums + element / plane_ % channels_);
      values = values.subspan(rest);
      element += static_cast<int64_t>(rest);
    }
  }

  StatusOr<Tensor> Total() const {
    TCONV_ASSIGN_OR_RETURN(Tensor total, Tensor::Allocate(DType::kFloat64, {channels_}));
    double* sums = total.mutable_view().values<double>().data();
    std::fill_n(sums, channels_, 0.0);
    AddRows(parts_.view().values<double>(), Index(channels_), sums);
    return total;
  }

 private:
  BiasGradient(const DeconvProblem& problem, const ElementRuns& runs, Tensor parts)
      : channels_(problem.out_channels),
        plane_(DstStrides(problem).channel),
        runs_(runs),
        parts_(std::move(parts)) {}

  const int64_t channels_;
  const int64_t plane_;  // elements of one channel that follow each other
  const ElementRuns runs_;
  Tensor parts_;  // [run][channel]
};

// gradient *= f'(z)
void Differentiate(const Activation& activation, std::span<const float> z,
                   std::span<float> gradient) {
  const VectorForm form = VectorFormOf(activation);
  if (form.activation == VectorActivation::kNone) {
    activation.DifferentiateElementwise(z, gradient);
  } else {
    GradientKernelsForThisCpu().differentiate(form.activation, form.parameter, z.data(),
                                              gradient.data(), gradient.size());
  }
}
void Differentiate(const Activation& activation, std::span<const double> z,
                   std::span<double> gradient) {
  activation.DifferentiateElementwise(z, gradient);
}

// `z` with the elements of its run in the type of the gradient.
ConstTensorView Widened(ConstTensorView z, std::byte* scratch) {
  if (!IsNarrow(z.dtype)) return z;
  const TensorView wide = {DType::kFloat32, z.shape, scratch};
  Convert(z, wide);
  return wide;
}

// From dL/dy to dL/dz, for one run.
template <typename T>
void DifferentiateRun(const Activation& activation, ConstTensorView z, std::span<T> gradient,
                      std::byte* scratch) {
  RoundRun(gradient, z.dtype);
  if (!activation.is_elementwise() || activation.is_linear()) return;
  Differentiate(activation, Widened(z, scratch).values<T>(), gradient);
  RoundRun(gradient, z.dtype);
}

// dL/dz of an activation that runs along an axis, not yet rounded.
StatusOr<Tensor> DifferentiateAlongAxis(WorkerPool& pool, BlockPool& memory,
                                        const Activation& activation, ConstTensorView z,
                                        Tensor diff_y) {
  Tensor wide_z;
  if (IsNarrow(z.dtype)) {
    TCONV_ASSIGN_OR_RETURN(wide_z, ConvertedOnPool(pool, z, DType::kFloat32));
    TCONV_ASSIGN_OR_RETURN(const Tensor rounded, ConvertedOnPool(pool, diff_y.view(), z.dtype));
    TCONV_RETURN_IF_ERROR(ConvertOnPool(pool, rounded.view(), diff_y.mutable_view()));
    z = wide_z.view();
  }
  if (diff_y.shape() == z.shape) {
    activation.DifferentiateAlongAxis(z, diff_y.view(), diff_y.mutable_view());
    return diff_y;
  }
  TCONV_ASSIGN_OR_RETURN(Tensor diff_z, Tensor::Allocate(diff_y.dtype(), z.shape, memory));
  activation.DifferentiateAlongAxis(z, diff_y.view(), diff_z.mutable_view());
  return diff_z;
}

template <typename T>
StatusOr<LinearGradient> Finish(WorkerPool& pool, const DeconvProblem& problem, ConstTensorView z,
                                Tensor gradient) {
  const bool is_last = problem.data_format == DataFormat::kChannelsLast;
  const ElementRuns runs(z.shape.num_elements(), is_last ? problem.out_channels : 1);
  TCONV_ASSIGN_OR_RETURN(BiasGradient bias, BiasGradient::Make(problem, runs));
  const TensorView values = gradient.mutable_view();
  TCONV_RETURN_IF_ERROR(
      ForEachRun(pool, runs, IsNarrow(z.dtype) ? 1 : 0, [&](int64_t run, std::byte* scratch) {
        const std::span<T> of_run = ElementsOf(values, runs, run).template values<T>();
        DifferentiateRun(problem.activation, ElementsOf(z, runs, run), of_run, scratch);
        if (problem.use_bias) bias.AddRun(run, std::span<const T>(of_run));
        return OkStatus();
      }));
  LinearGradient result{.diff_z = std::move(gradient), .diff_bias = Tensor()};
  if (problem.use_bias) {
    TCONV_ASSIGN_OR_RETURN(result.diff_bias, bias.Total());
  }
  return result;
}

}  // namespace

StatusOr<LinearGradient> DifferentiateActivation(WorkerPool& pool, BlockPool& memory,
                                                 const DeconvProblem& problem, ConstTensorView z,
                                                 Tensor diff_y) {
  if (!problem.activation.is_elementwise()) {
    TCONV_ASSIGN_OR_RETURN(
        diff_y, DifferentiateAlongAxis(pool, memory, problem.activation, z, std::move(diff_y)));
  }
  return diff_y.dtype() == DType::kFloat64 ? Finish<double>(pool, problem, z, std::move(diff_y))
                                           : Finish<float>(pool, problem, z, std::move(diff_y));
}

}  // namespace tconv::server
