#include "server/store/training_row.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "server/store/store_errors.h"
#include "server/store/tensor_row.h"
#include "server/store/training_record.pb.h"

namespace tconv::server {
namespace {

using store::TrainingRecord;

std::optional<OptimizerSlot> ParseSlot(std::string_view name) {
  for (const OptimizerSlot slot : {OptimizerSlot::kMomentum, OptimizerSlot::kVelocity,
                                   OptimizerSlot::kVelocityHat, OptimizerSlot::kAverageGradient}) {
    if (NameOf(slot) == name) return slot;
  }
  return std::nullopt;
}

std::string KernelRole(const std::string& slot) { return slot + "/kernel"; }
std::string BiasRole(const std::string& slot) { return slot + "/bias"; }

TrainingRecord::Step ToProto(const StepRecord& step) {
  TrainingRecord::Step proto;
  proto.set_step_id(step.step_id);
  proto.set_weights_version(step.weights_version);
  proto.set_iterations(step.iterations);
  if (step.loss.has_value()) proto.set_loss(*step.loss);
  proto.mutable_layer_losses()->Assign(step.layer_losses.begin(), step.layer_losses.end());
  return proto;
}

StepRecord StepFromProto(const TrainingRecord::Step& proto) {
  return {.step_id = proto.step_id(),
          .weights_version = proto.weights_version(),
          .iterations = proto.iterations(),
          .loss = proto.has_loss() ? std::optional(proto.loss()) : std::nullopt,
          .layer_losses = {proto.layer_losses().begin(), proto.layer_losses().end()}};
}

// Nothing: not what TrainingColumnOf() wrote.
std::optional<TrainingRecord> ParseColumn(std::string_view column, ByteSpan digest) {
  TrainingRecord record;
  if (column.empty() && digest.empty()) return record;
  const bool is_intact = std::ranges::equal(digest, DigestOfTraining(column));
  if (!is_intact || !record.ParseFromArray(column.data(), static_cast<int>(column.size()))) {
    return std::nullopt;
  }
  return record;
}

StatusOr<TrainingState> AssembleState(
    const TrainingRecord& record, bool use_bias,
    const std::function<StatusOr<Tensor>(std::string_view role)>& read) {
  TrainingState state;
  state.optimizer.iterations = record.iterations();
  for (const TrainingRecord::Step& step : record.steps()) {
    state.steps.push_back(StepFromProto(step));
  }
  for (const std::string& name : record.slots()) {
    const std::optional<OptimizerSlot> slot = ParseSlot(name);
    if (!slot.has_value()) return DamagedTensor(name, "an unknown slot");
    WeightTensors& tensors = state.optimizer.slots[*slot];
    TCONV_ASSIGN_OR_RETURN(tensors.kernel, read(KernelRole(name)));
    if (use_bias) {
      TCONV_ASSIGN_OR_RETURN(tensors.bias, read(BiasRole(name)));
    }
  }
  return state;
}

}  // namespace

std::string TrainingColumnOf(const TrainingState& state) {
  TrainingRecord record;
  record.set_iterations(state.optimizer.iterations);
  for (const auto& [slot, tensors] : state.optimizer.slots) {
    record.add_slots(std::string(NameOf(slot)));
  }
  for (const StepRecord& step : state.steps) *record.add_steps() = ToProto(step);
  return record.SerializeAsString();
}

Digest DigestOfTraining(std::string_view column) { return DigestBuilder().Add(column).Finish(); }

Status ForEachTensor(
    const TrainingState& state,
    const std::function<Status(std::string_view role, ConstTensorView tensor)>& insert) {
  for (const auto& [slot, tensors] : state.optimizer.slots) {
    const std::string name(NameOf(slot));
    TCONV_RETURN_IF_ERROR(insert(KernelRole(name), tensors.kernel.view()));
    if (tensors.bias.has_value()) {
      TCONV_RETURN_IF_ERROR(insert(BiasRole(name), tensors.bias->view()));
    }
  }
  return OkStatus();
}

StatusOr<TrainingState> AssembleTraining(
    const LayerRecord& layer, std::string_view column, ByteSpan digest,
    const std::function<StatusOr<Tensor>(std::string_view role)>& read) {
  const std::optional<TrainingRecord> record = ParseColumn(column, digest);
  if (!record.has_value()) {
    return LayerDamaged(layer.name, "the stored training is not what was written");
  }
  StatusOr<TrainingState> state = AssembleState(*record, layer.config.use_bias, read);
  if (state.status().code() == StatusCode::kDataLoss) {
    return LayerDamaged(layer.name, MessageOf(state.status()));
  }
  return state;
}

}  // namespace tconv::server
