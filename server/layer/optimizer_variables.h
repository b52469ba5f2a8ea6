// What one step of an optimizer changes, in the type that it is computed in.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "server/base/status.h"
#include "server/layer/constraint.h"
#include "server/layer/optimizer.h"
#include "server/layer/optimizer_rules.h"

namespace tconv::server::optimizer {

// A tensor in the type that a step is computed in: itself, or a copy in float32 of a
// tensor of 16 bits.
class Working {
 public:
  static StatusOr<Working> Make(Tensor& tensor) {
    Working working(tensor);
    if (SizeOf(tensor.dtype()) < SizeOf(DType::kFloat32)) {
      TCONV_ASSIGN_OR_RETURN(working.copy_, Tensor::Converted(tensor.view(), DType::kFloat32));
    }
    return working;
  }

  TensorView view() { return copy_.has_value() ? copy_->mutable_view() : tensor_->mutable_view(); }
  // Rounds the copy, if it is one, to the tensor.
  void Store() {
    if (copy_.has_value()) Convert(copy_->view(), tensor_->mutable_view());
  }

 private:
  explicit Working(Tensor& tensor) : tensor_(&tensor) {}

  Tensor* tensor_;
  std::optional<Tensor> copy_;
};

// One weight of a layer, with all that a step changes with it.
struct StepVariable {
  Working weight;
  Working gradient;
  std::map<OptimizerSlot, Working> slots;
  const Constraint* constraint;  // may be null

  template <typename T>
  Variable<T> View() {
    const auto slot = [this](OptimizerSlot kind) {
      const auto found = slots.find(kind);
      return found == slots.end() ? std::span<T>() : found->second.view().template values<T>();
    };
    return {.weight = weight.view().values<T>(),
            .gradient = gradient.view().values<T>(),
            .momentum = slot(OptimizerSlot::kMomentum),
            .velocity = slot(OptimizerSlot::kVelocity),
            .velocity_hat = slot(OptimizerSlot::kVelocityHat),
            .average_gradient = slot(OptimizerSlot::kAverageGradient)};
  }

  // Projects the weight by its constraint, and stores all that has changed.
  void Finish() {
    if (constraint != nullptr) constraint->Project(weight.view());
    weight.Store();
    for (auto& [kind, slot] : slots) slot.Store();
  }
};

// The kernel and, where there is one, the bias. Refer to all that is given.
// RESOURCE_EXHAUSTED without memory.
StatusOr<std::vector<StepVariable>> MakeVariables(const LayerConfig& config, Weights& weights,
                                                  WeightTensors& gradients, OptimizerSlots& slots);

// Slots as they are before the first step. RESOURCE_EXHAUSTED.
StatusOr<OptimizerSlots> ZeroSlots(const std::vector<OptimizerSlot>& kinds, const Weights& weights);

}  // namespace tconv::server::optimizer
