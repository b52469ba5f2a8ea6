#include "server/layer/optimizer_variables.h"

#include <cstring>
#include <utility>

namespace tconv::server::optimizer {
namespace {

Tensor& KernelOf(WeightTensors& tensors) { return tensors.kernel; }
Tensor& BiasOf(WeightTensors& tensors) { return *tensors.bias; }

StatusOr<StepVariable> MakeVariable(Tensor& weight, const std::optional<Constraint>& constraint,
                                    Tensor& (*member)(WeightTensors&), WeightTensors& gradients,
                                    OptimizerSlots& slots) {
  TCONV_ASSIGN_OR_RETURN(Working working_weight, Working::Make(weight));
  TCONV_ASSIGN_OR_RETURN(Working gradient, Working::Make(member(gradients)));
  StepVariable variable{std::move(working_weight),
                        std::move(gradient),
                        {},
                        constraint.has_value() ? &*constraint : nullptr};
  for (auto& [kind, tensors] : slots) {
    TCONV_ASSIGN_OR_RETURN(Working slot, Working::Make(member(tensors)));
    variable.slots.emplace(kind, std::move(slot));
  }
  return variable;
}

StatusOr<Tensor> ZerosLike(const Tensor& tensor) {
  TCONV_ASSIGN_OR_RETURN(Tensor zeros, Tensor::Allocate(tensor.dtype(), tensor.shape()));
  if (zeros.size_bytes() > 0) {
    std::memset(zeros.mutable_view().data, 0, static_cast<size_t>(zeros.size_bytes()));
  }
  return zeros;
}

StatusOr<WeightTensors> ZerosLike(const Weights& weights) {
  WeightTensors zeros;
  TCONV_ASSIGN_OR_RETURN(zeros.kernel, ZerosLike(weights.kernel));
  if (weights.bias.has_value()) {
    TCONV_ASSIGN_OR_RETURN(zeros.bias, ZerosLike(*weights.bias));
  }
  return zeros;
}

}  // namespace

StatusOr<std::vector<StepVariable>> MakeVariables(const LayerConfig& config, Weights& weights,
                                                  WeightTensors& gradients, OptimizerSlots& slots) {
  std::vector<StepVariable> variables;
  TCONV_ASSIGN_OR_RETURN(StepVariable kernel, MakeVariable(weights.kernel, config.kernel_constraint,
                                                           KernelOf, gradients, slots));
  variables.push_back(std::move(kernel));
  if (!weights.bias.has_value()) return variables;
  TCONV_ASSIGN_OR_RETURN(StepVariable bias, MakeVariable(*weights.bias, config.bias_constraint,
                                                         BiasOf, gradients, slots));
  variables.push_back(std::move(bias));
  return variables;
}

StatusOr<OptimizerSlots> ZeroSlots(const std::vector<OptimizerSlot>& kinds,
                                   const Weights& weights) {
  OptimizerSlots slots;
  for (const OptimizerSlot kind : kinds) {
    TCONV_ASSIGN_OR_RETURN(slots[kind], ZerosLike(weights));
  }
  return slots;
}

}  // namespace tconv::server::optimizer
