#include "server/store/training_state.h"

#include <algorithm>
#include <utility>

namespace tconv::server {
namespace {

StatusOr<Tensor> CopyOf(const Tensor& tensor) {
  return Tensor::Converted(tensor.view(), tensor.dtype());
}

StatusOr<WeightTensors> CopyOf(const WeightTensors& tensors) {
  WeightTensors copy;
  TCONV_ASSIGN_OR_RETURN(copy.kernel, CopyOf(tensors.kernel));
  if (tensors.bias.has_value()) {
    TCONV_ASSIGN_OR_RETURN(copy.bias, CopyOf(*tensors.bias));
  }
  return copy;
}

int64_t SizeOf(const StepRecord& step) {
  return static_cast<int64_t>(sizeof(StepRecord) + step.step_id.size() +
                              step.layer_losses.size() * sizeof(double));
}

}  // namespace

const StepRecord* TrainingState::FindStep(std::string_view step_id) const {
  const auto found = std::ranges::find(steps, step_id, &StepRecord::step_id);
  return found == steps.end() ? nullptr : &*found;
}

void TrainingState::AddStep(StepRecord step) {
  if (steps.size() == kMostSteps) steps.erase(steps.begin());
  steps.push_back(std::move(step));
}

int64_t TrainingState::size_bytes() const {
  int64_t bytes = 0;
  for (const auto& [slot, tensors] : optimizer.slots) bytes += tensors.size_bytes();
  for (const StepRecord& step : steps) bytes += SizeOf(step);
  return bytes;
}

StatusOr<TrainingState> CopyOf(const TrainingState& state) {
  TrainingState copy{.optimizer = {.iterations = state.optimizer.iterations, .slots = {}},
                     .steps = state.steps};
  for (const auto& [slot, tensors] : state.optimizer.slots) {
    TCONV_ASSIGN_OR_RETURN(copy.optimizer.slots[slot], CopyOf(tensors));
  }
  return copy;
}

}  // namespace tconv::server
