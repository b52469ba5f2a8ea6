#include "server/host/training_pass.h"

#include <utility>

#include "server/host/losses.h"
#include "server/layer/regularizer.h"

namespace tconv::server {

Status TrainingPass::RunForward(Tensor src, bool needs_output) {
  const bool depends_on_output =
      !problem_.activation.is_linear() || config_.activity_regularizer.has_value();
  return needs_output || depends_on_output ? differentiation_.RunForward(std::move(src))
                                           : differentiation_.SkipForward(std::move(src));
}

std::vector<Loss> TrainingPass::LayerLosses() const {
  PenaltySums sums;
  if (config_.activity_regularizer.has_value()) sums.Add(output());
  return LossesOf(config_, *weights_, sums, problem_);
}

StatusOr<TrainingPass::EvaluatedLoss> TrainingPass::Evaluate(const DataLoss& loss,
                                                             ConstTensorView target) const {
  EvaluatedLoss evaluated;
  TCONV_ASSIGN_OR_RETURN(evaluated.diff_output,
                         Tensor::Allocate(target.dtype, target.shape, memory_));
  ConstTensorView y = output();
  Tensor wide_output;
  if (y.dtype != target.dtype) {
    TCONV_ASSIGN_OR_RETURN(wide_output, Tensor::Allocate(target.dtype, target.shape, memory_));
    Convert(y, wide_output.mutable_view());
    y = wide_output.view();
  }
  evaluated.value = loss.Evaluate(y, target, evaluated.diff_output.mutable_view());
  return evaluated;
}

StatusOr<Gradients> TrainingPass::RunBackward(Tensor diff_output, const WantedGradients& wanted,
                                              bool include_losses) {
  if (include_losses) AddActivityGradient(diff_output);
  TCONV_ASSIGN_OR_RETURN(Gradients gradients,
                         differentiation_.RunBackward(std::move(diff_output), wanted));
  if (include_losses && wanted.weights) AddWeightGradients(gradients.weights);
  return gradients;
}

void TrainingPass::AddActivityGradient(Tensor& diff_output) const {
  if (!config_.activity_regularizer.has_value() || problem_.batch == 0) return;
  config_.activity_regularizer->AddGradient(output(), 1.0 / static_cast<double>(problem_.batch),
                                            diff_output.mutable_view());
}

// Only trainable weights are penalized.
void TrainingPass::AddWeightGradients(WeightTensors& gradients) const {
  if (!config_.trainable) return;
  if (config_.kernel_regularizer.has_value()) {
    config_.kernel_regularizer->AddGradient(weights_->kernel.view(), 1,
                                            gradients.kernel.mutable_view());
  }
  if (config_.bias_regularizer.has_value() && weights_->bias.has_value()) {
    config_.bias_regularizer->AddGradient(weights_->bias->view(), 1,
                                          gradients.bias->mutable_view());
  }
}

}  // namespace tconv::server
