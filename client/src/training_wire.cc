#include "client/src/training_wire.h"

#include <tconv/v1/training.pb.h>

#include <optional>
#include <utility>
#include <variant>

#include "client/src/tensor_fields.h"

namespace tconv {
namespace {

// Where the elements of tensors are in messages.
constexpr codec::FieldPath kBackwardInput = kElementsAt<v1::BackwardRequest::kInputFieldNumber>;
constexpr codec::FieldPath kBackwardUpstream =
    kElementsAt<v1::BackwardRequest::kUpstreamFieldNumber>;
constexpr codec::FieldPath kBackwardInputGradient =
    kElementsAt<v1::BackwardResponse::kInputGradientFieldNumber>;
constexpr WeightsPath kBackwardWeightGradients =
    kWeightsAt<v1::BackwardResponse::kWeightGradientsFieldNumber>;
constexpr WeightsPath kAppliedGradients =
    kWeightsAt<v1::ApplyGradientsRequest::kGradientsFieldNumber>;
constexpr codec::FieldPath kStepInput = kElementsAt<v1::TrainStepRequest::kInputFieldNumber>;
constexpr codec::FieldPath kStepTarget = kElementsAt<v1::TrainStepRequest::kTargetFieldNumber>;
constexpr codec::FieldPath kStepUpstream = kElementsAt<v1::TrainStepRequest::kUpstreamFieldNumber>;
constexpr codec::FieldPath kStepOutput = kElementsAt<v1::TrainStepResponse::kOutputFieldNumber>;
constexpr codec::FieldPath kStepInputGradient =
    kElementsAt<v1::TrainStepResponse::kInputGradientFieldNumber>;

// One of the slots, in every form that it has.
struct SlotForms {
  const char* name;
  std::optional<Weights> OptimizerSlots::*value;
  bool (v1::OptimizerSlots::*has)() const;
  const v1::Weights& (v1::OptimizerSlots::*get)() const;
  v1::Weights* (v1::OptimizerSlots::*set)();
  WeightsPath in_request;
  WeightsPath in_answer;
};

template <int kSlot>
constexpr WeightsPath kSlotInRequest =
    kWeightsAt<v1::SetOptimizerRequest::kSlotsFieldNumber, kSlot>;
template <int kSlot>
constexpr WeightsPath kSlotInAnswer =
    kWeightsAt<v1::GetOptimizerResponse::kSlotsFieldNumber, kSlot>;

constexpr SlotForms kSlots[] = {
    {"slots.momentum", &OptimizerSlots::momentum, &v1::OptimizerSlots::has_momentum,
     &v1::OptimizerSlots::momentum, &v1::OptimizerSlots::mutable_momentum,
     kSlotInRequest<v1::OptimizerSlots::kMomentumFieldNumber>,
     kSlotInAnswer<v1::OptimizerSlots::kMomentumFieldNumber>},
    {"slots.velocity", &OptimizerSlots::velocity, &v1::OptimizerSlots::has_velocity,
     &v1::OptimizerSlots::velocity, &v1::OptimizerSlots::mutable_velocity,
     kSlotInRequest<v1::OptimizerSlots::kVelocityFieldNumber>,
     kSlotInAnswer<v1::OptimizerSlots::kVelocityFieldNumber>},
    {"slots.velocity_hat", &OptimizerSlots::velocity_hat, &v1::OptimizerSlots::has_velocity_hat,
     &v1::OptimizerSlots::velocity_hat, &v1::OptimizerSlots::mutable_velocity_hat,
     kSlotInRequest<v1::OptimizerSlots::kVelocityHatFieldNumber>,
     kSlotInAnswer<v1::OptimizerSlots::kVelocityHatFieldNumber>},
    {"slots.average_gradient", &OptimizerSlots::average_gradient,
     &v1::OptimizerSlots::has_average_gradient, &v1::OptimizerSlots::average_gradient,
     &v1::OptimizerSlots::mutable_average_gradient,
     kSlotInRequest<v1::OptimizerSlots::kAverageGradientFieldNumber>,
     kSlotInAnswer<v1::OptimizerSlots::kAverageGradientFieldNumber>},
};

// What ApplyGradients and TrainStep have in common.
template <typename Options, typename Request>
void SetStep(const Options& options, Request* request) {
  if (options.if_version) request->set_if_version(*options.if_version);
  if (options.learning_rate) request->set_learning_rate(*options.learning_rate);
  request->set_step_id(options.step_id);
}
template <typename Response>
StepResult StepOf(const Response& response) {
  return {.weights_version = response.weights_version(),
          .iterations = response.iterations(),
          .already_applied = response.already_applied()};
}

// Where a field of an answer goes that may be absent from it.
template <typename Value>
absl::Status Assign(absl::StatusOr<Value> value, std::optional<Value>& to) {
  if (!value.ok()) return value.status();
  to = *std::move(value);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<grpc::ByteBuffer> EncodeBackward(const std::string& name, const Tensor& input,
                                                const Tensor& upstream,
                                                const BackwardOptions& options) {
  v1::BackwardRequest request;
  TensorFields tensors;
  request.set_name(name);
  tensors.Set(kBackwardInput, input, request.mutable_input());
  tensors.Set(kBackwardUpstream, upstream, request.mutable_upstream());
  request.set_include_losses(options.include_losses);
  request.set_min_version(options.min_version);
  request.set_skip_input_gradient(options.skip_input_gradient);
  request.set_skip_weight_gradients(options.skip_weight_gradients);
  return tensors.Encode(request);
}

absl::StatusOr<grpc::ByteBuffer> EncodeApplyGradients(const std::string& name,
                                                      const Weights& gradients,
                                                      const StepOptions& options) {
  v1::ApplyGradientsRequest request;
  TensorFields tensors;
  request.set_name(name);
  tensors.Set(kAppliedGradients, gradients, request.mutable_gradients());
  SetStep(options, &request);
  return tensors.Encode(request);
}

absl::StatusOr<grpc::ByteBuffer> EncodeTrainStep(const std::string& name, const Tensor& input,
                                                 const TrainSignal& signal,
                                                 const TrainStepOptions& options) {
  v1::TrainStepRequest request;
  TensorFields tensors;
  request.set_name(name);
  tensors.Set(kStepInput, input, request.mutable_input());
  if (const auto* target = std::get_if<TrainTarget>(&signal)) {
    tensors.Set(kStepTarget, target->target, request.mutable_target());
    *request.mutable_loss() = target->loss;
  } else {
    tensors.Set(kStepUpstream, std::get<Upstream>(signal).gradient, request.mutable_upstream());
  }
  SetStep(options, &request);
  request.set_return_output(options.return_output);
  request.set_return_input_gradient(options.return_input_gradient);
  return tensors.Encode(request);
}

absl::StatusOr<grpc::ByteBuffer> EncodeSetOptimizer(const std::string& name,
                                                    const NewOptimizer& optimizer) {
  v1::SetOptimizerRequest request;
  TensorFields tensors;
  request.set_name(name);
  if (const auto* object = std::get_if<v1::KerasObject>(&optimizer.definition)) {
    *request.mutable_optimizer() = *object;
  } else {
    request.set_keras_json(std::get<KerasJson>(optimizer.definition).text);
  }
  request.set_iterations(optimizer.iterations);
  if (!optimizer.slots) return tensors.Encode(request);
  v1::OptimizerSlots& slots = *request.mutable_slots();
  for (const SlotForms& slot : kSlots) {
    const std::optional<Weights>& value = *optimizer.slots.*slot.value;
    if (value) tensors.Set(slot.in_request, *value, (slots.*slot.set)());
  }
  return tensors.Encode(request);
}

absl::StatusOr<BackwardResult> DecodeBackward(UnaryAnswer answer, MemoryPool& memory) {
  v1::BackwardResponse response;
  auto received = ParseAnswer(&answer.message, &response);
  if (!received.ok()) return received.status();
  BackwardResult result{.weights_version = response.weights_version(),
                        .losses = {response.losses().begin(), response.losses().end()},
                        .timing = answer.timing};
  absl::Status status;
  if (response.has_input_gradient()) {
    status.Update(Assign(TakeTensor("input_gradient", response.input_gradient(),
                                    kBackwardInputGradient, *received, memory),
                         result.input_gradient));
  }
  if (response.has_weight_gradients()) {
    status.Update(Assign(TakeWeights("weight_gradients", response.weight_gradients(),
                                     kBackwardWeightGradients, *received, memory),
                         result.weight_gradients));
  }
  if (!status.ok()) return status;
  return result;
}

absl::StatusOr<StepResult> DecodeApplyGradients(UnaryAnswer answer, MemoryPool&) {
  v1::ApplyGradientsResponse response;
  const auto received = ParseAnswer(&answer.message, &response);
  if (!received.ok()) return received.status();
  return StepOf(response);
}

absl::StatusOr<TrainStepResult> DecodeTrainStep(UnaryAnswer answer, MemoryPool& memory) {
  v1::TrainStepResponse response;
  auto received = ParseAnswer(&answer.message, &response);
  if (!received.ok()) return received.status();
  TrainStepResult result{.step = StepOf(response),
                         .losses = {response.losses().begin(), response.losses().end()},
                         .timing = answer.timing};
  if (response.has_loss()) result.loss = response.loss();
  absl::Status status;
  if (response.has_output()) {
    status.Update(Assign(TakeTensor("output", response.output(), kStepOutput, *received, memory),
                         result.output));
  }
  if (response.has_input_gradient()) {
    status.Update(Assign(TakeTensor("input_gradient", response.input_gradient(), kStepInputGradient,
                                    *received, memory),
                         result.input_gradient));
  }
  if (!status.ok()) return status;
  return result;
}

absl::StatusOr<v1::Layer> DecodeSetOptimizer(UnaryAnswer answer, MemoryPool&) {
  v1::SetOptimizerResponse response;
  const auto received = ParseAnswer(&answer.message, &response);
  if (!received.ok()) return received.status();
  return std::move(*response.mutable_layer());
}

absl::StatusOr<OptimizerStatus> DecodeGetOptimizer(UnaryAnswer answer, MemoryPool& memory) {
  v1::GetOptimizerResponse response;
  auto received = ParseAnswer(&answer.message, &response);
  if (!received.ok()) return received.status();
  OptimizerStatus result{.optimizer = response.optimizer(),
                         .keras_json = response.keras_json(),
                         .iterations = response.iterations(),
                         .weights_version = response.weights_version()};
  for (const SlotForms& slot : kSlots) {
    if (!(response.slots().*slot.has)()) continue;
    auto value =
        TakeWeights(slot.name, (response.slots().*slot.get)(), slot.in_answer, *received, memory);
    if (!value.ok()) return value.status();
    result.slots.*slot.value = *std::move(value);
  }
  return result;
}

}  // namespace tconv
