#include "server/compute/differentiation.h"

#include <cassert>
#include <utility>

#include "server/compute/activation_gradient.h"
#include "server/compute/activation_pass.h"
#include "server/compute/convert_on_pool.h"
#include "server/compute/weights_cast.h"
#include "server/compute/wide_type.h"

namespace tconv::server {

Differentiation::Differentiation(const ComputeTools& tools, DeconvProblem problem,
                                 std::shared_ptr<const Weights> weights, CacheShare share)
    : tools_(tools),
      problem_(std::move(problem)),
      weights_(std::move(weights)),
      share_(std::move(share)) {}

Status Differentiation::Begin(Tensor src) {
  src_ = std::move(src);
  TCONV_ASSIGN_OR_RETURN(linear_,
                         Tensor::Allocate(problem_.dtype, problem_.linear_shape(), tools_.memory));
  return OkStatus();
}

Status Differentiation::SkipForward(Tensor src) {
  assert(problem_.activation.is_linear());
  return Begin(std::move(src));
}

Status Differentiation::RunForward(Tensor src) {
  TCONV_RETURN_IF_ERROR(Begin(std::move(src)));
  DeconvProblem linear_problem = problem_;
  linear_problem.activation = Activation();
  TCONV_ASSIGN_OR_RETURN(const auto plan,
                         tools_.plans.GetOrCompile(linear_problem, weights_, nullptr, share_));
  TCONV_RETURN_IF_ERROR(plan->Execute(src_.view(), linear_.mutable_view()));
  if (problem_.activation.is_linear()) return OkStatus();
  TCONV_ASSIGN_OR_RETURN(output_,
                         Tensor::Allocate(problem_.dtype, problem_.dst_shape(), tools_.memory));
  return ActivateResult(tools_.pool, problem_, linear_.view(), output_.mutable_view());
}

ConstTensorView Differentiation::output() const {
  return problem_.activation.is_linear() ? linear_.view() : output_.view();
}

StatusOr<Gradients> Differentiation::RunBackward(Tensor diff_output,
                                                 const WantedGradients& wanted) {
  TCONV_ASSIGN_OR_RETURN(const LinearGradient linear,
                         DifferentiateActivation(tools_.pool, tools_.memory, problem_,
                                                 linear_.view(), std::move(diff_output)));
  TCONV_ASSIGN_OR_RETURN(const auto cached, tools_.backward_plans.GetOrCompile(problem_, share_));
  TCONV_ASSIGN_OR_RETURN(
      const CastWeight kernel,
      CastWeight::Make(weights_->kernel.view(), problem_.dtype, WideTypeOf(problem_.dtype)));
  Tensor wide_src;
  if (src_.dtype() != WideTypeOf(problem_.dtype)) {
    TCONV_ASSIGN_OR_RETURN(wide_src,
                           ConvertedOnPool(tools_.pool, src_.view(), WideTypeOf(problem_.dtype)));
  }
  TCONV_ASSIGN_OR_RETURN(Tensor diff_src, AllocateWide(src_.shape(), wanted.input));
  TCONV_ASSIGN_OR_RETURN(Tensor diff_kernel,
                         AllocateWide(weights_->kernel.shape(), wanted.weights));
  TCONV_RETURN_IF_ERROR(cached->plan->Execute(
      {.kernel = kernel.view(),
       .src = src_.dtype() == WideTypeOf(problem_.dtype) ? src_.view() : wide_src.view(),
       .diff_dst = linear.diff_z.view(),
       .diff_src = diff_src.mutable_view(),
       .diff_kernel = diff_kernel.mutable_view()},
      tools_.memory));
  Gradients gradients;
  if (wanted.input) {
    TCONV_ASSIGN_OR_RETURN(gradients.input, Rounded(std::move(diff_src), problem_.dtype));
  }
  if (!wanted.weights) return gradients;
  const DType variable = weights_->kernel.dtype();
  TCONV_ASSIGN_OR_RETURN(gradients.weights.kernel, Rounded(std::move(diff_kernel), variable));
  if (problem_.use_bias) {
    TCONV_ASSIGN_OR_RETURN(const Tensor rounded,
                           Tensor::Converted(linear.diff_bias.view(), problem_.dtype));
    TCONV_ASSIGN_OR_RETURN(gradients.weights.bias, Tensor::Converted(rounded.view(), variable));
  }
  return gradients;
}

StatusOr<Tensor> Differentiation::AllocateWide(const Shape& shape, bool is_wanted) const {
  if (!is_wanted) return Tensor();
  return Tensor::Allocate(WideTypeOf(problem_.dtype), shape, tools_.memory);
}

StatusOr<Tensor> Differentiation::Rounded(Tensor gradient, DType as) const {
  if (gradient.dtype() == problem_.dtype) return gradient;
  TCONV_ASSIGN_OR_RETURN(Tensor rounded,
                         Tensor::Allocate(problem_.dtype, gradient.shape(), tools_.memory));
  TCONV_RETURN_IF_ERROR(ConvertOnPool(tools_.pool, gradient.view(), rounded.mutable_view()));
  if (as == problem_.dtype) return rounded;
  TCONV_RETURN_IF_ERROR(ConvertOnPool(tools_.pool, rounded.view(), gradient.mutable_view()));
  return gradient;
}

}  // namespace tconv::server
