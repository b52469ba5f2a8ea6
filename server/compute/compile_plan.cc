#include "server/compute/compile_plan.h"

#include <utility>
#include <vector>

#include "server/compute/activation_pass.h"
#include "server/compute/weave.h"
#include "server/compute/wide_type.h"

namespace tconv::server {
namespace {

// A linear plan, then an activation along an axis.
class AxisActivationPlan final : public ForwardPlan {
 public:
  AxisActivationPlan(const DeconvProblem& problem, std::unique_ptr<const ForwardPlan> linear)
      : activation_(problem.activation),
        linear_shape_(problem.linear_shape()),
        linear_(std::move(linear)) {}

  Status Execute(ConstTensorView src, TensorView dst) const override {
    // The activation works in the type of a wide dst, and there in place unless
    // it changes the shape.
    if (!IsNarrow(dst.dtype) && dst.shape == linear_shape_) {
      TCONV_RETURN_IF_ERROR(linear_->Execute(src, dst));
      activation_.ApplyAlongAxis(dst, dst);
      return OkStatus();
    }
    TCONV_ASSIGN_OR_RETURN(Tensor linear, Tensor::Allocate(dst.dtype, linear_shape_));
    TCONV_RETURN_IF_ERROR(linear_->Execute(src, linear.mutable_view()));
    return ActivateAlongAxis(activation_, linear.view(), dst);
  }

  int64_t bytes_held() const override { return linear_->bytes_held(); }
  std::vector<SharedPart> shared_parts() const override { return linear_->shared_parts(); }

 private:
  const Activation activation_;
  const Shape linear_shape_;
  const std::unique_ptr<const ForwardPlan> linear_;
};

bool AppliesActivation(const Strategy& strategy, const DeconvProblem& problem) {
  return problem.activation.is_elementwise() ||
         (Weave::ActivatesPositions(problem) && strategy.FinishesWholePositions(problem));
}

}  // namespace

StatusOr<std::unique_ptr<const ForwardPlan>> CompilePlan(const Strategy& strategy,
                                                         const DeconvProblem& problem,
                                                         std::shared_ptr<const Weights> weights) {
  if (AppliesActivation(strategy, problem)) return strategy.Compile(problem, std::move(weights));
  DeconvProblem linear_problem = problem;
  linear_problem.activation = Activation();
  TCONV_ASSIGN_OR_RETURN(std::unique_ptr<const ForwardPlan> linear,
                         strategy.Compile(linear_problem, std::move(weights)));
  return std::make_unique<const AxisActivationPlan>(problem, std::move(linear));
}

std::chrono::nanoseconds EstimatedPlanTime(const Strategy& strategy, const DeconvProblem& problem) {
  constexpr std::chrono::nanoseconds kSecondPass(5);  // for each value
  const std::chrono::nanoseconds time = strategy.EstimatedTime(problem);
  if (AppliesActivation(strategy, problem)) return time;
  return time + kSecondPass * problem.linear_shape().num_elements();
}

}  // namespace tconv::server
