#include "server/rpc/training_service.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "server/rpc/backward_call.h"
#include "server/rpc/layer_info_codec.h"
#include "server/rpc/step_call.h"
#include "server/wire/optimizer_codec.h"
#include "server/wire/tensor_codec.h"

namespace tconv::server {
namespace {

constexpr const char* kService = v1::TrainingService::service_full_name();

// Where the elements of a tensor, and of weights, in a field of an answer are.
template <int kField>
constexpr int kElementsPath[] = {kField, v1::Tensor::kDataFieldNumber};
template <int kField>
constexpr int kKernelPath[] = {kField, v1::Weights::kKernelFieldNumber,
                               v1::Tensor::kDataFieldNumber};
template <int kField>
constexpr int kBiasPath[] = {kField, v1::Weights::kBiasFieldNumber, v1::Tensor::kDataFieldNumber};

// Puts a tensor into a field of an answer.
template <typename Response>
void AddTensor(Tensor tensor, codec::FieldPath elements_path, v1::Tensor* out,
               WithPayloads<Response>& answer) {
  const auto owner = std::make_shared<const Tensor>(std::move(tensor));
  ToProto(owner->view(), out);
  answer.payloads.push_back({elements_path, PayloadOf(owner->view(), owner)});
}

template <typename T>
StatusOr<T> Within(const char* field, StatusOr<T> value) {
  if (value.ok()) return value;
  return InField(field, value.status());
}

// The tensor, or the weights, in the field `number` of a request.
template <typename Received, typename Message>
StatusOr<Received> Receive(const char* field, const Message& message, int number,
                           codec::ReceivedPayloads& payloads) {
  return Within(field, Received::Make(message, {&number, 1}, payloads));
}

Status CheckHas(const char* field, bool has) {
  return has ? OkStatus() : InvalidField(field, "expected it to be given");
}

// What the requests of steps have in common.
template <typename Request>
StepTerms TermsOf(const Request& request) {
  StepTerms terms = {.layer = request.name(), .step_id = request.step_id()};
  if (request.has_if_version()) terms.if_version = request.if_version();
  if (request.has_learning_rate()) terms.learning_rate = request.learning_rate();
  return terms;
}

template <typename Response>
void SetOutcome(const StepOutcome& outcome, Response* response) {
  response->set_weights_version(outcome.weights_version);
  response->set_iterations(outcome.iterations);
  response->set_already_applied(outcome.was_applied_before);
}

StatusOr<Optimizer> OptimizerOf(const v1::SetOptimizerRequest& request) {
  switch (request.definition_case()) {
    case v1::SetOptimizerRequest::kOptimizer:
      return Within("optimizer", OptimizerFromProto(request.optimizer()));
    case v1::SetOptimizerRequest::kKerasJson: {
      auto optimizer = OptimizerFromKerasJson(request.keras_json());
      if (!optimizer.ok()) return InKerasJson(optimizer.status());
      return optimizer;
    }
    case v1::SetOptimizerRequest::DEFINITION_NOT_SET:
      break;
  }
  return InvalidField("definition", "expected an optimizer or keras_json, got neither");
}

// What the output is compared with; none where the gradient of a loss is given.
StatusOr<std::optional<DataLoss>> LossOf(const v1::TrainStepRequest& request) {
  if (request.has_target() == request.has_upstream()) {
    return InvalidField("target", "expected either a target or an upstream gradient, got {}",
                        request.has_target() ? "both" : "neither");
  }
  if (request.has_loss() != request.has_target()) {
    return InvalidField("loss", "expected a loss exactly when there is a target");
  }
  if (!request.has_loss()) return std::nullopt;
  TCONV_ASSIGN_OR_RETURN(DataLoss loss, Within("loss", DataLossFromProto(request.loss())));
  return std::optional(std::move(loss));
}

}  // namespace

TrainingServiceImpl::TrainingServiceImpl(LayerHost& host, LayerTraining& training,
                                         const ServiceContext& context, GenericMethods& generic)
    : host_(host), training_(training) {
  using Self = TrainingServiceImpl;
  const auto method = [&](const char* name, CallKind kind) {
    return context.MakeMethod(kService, name, kind, context.work);
  };
  generic.Add(kService, method("SetTrainable", CallKind::kChange), this, &Self::DoSetTrainable);
  generic.Add(kService, method("SetOptimizer", CallKind::kChange), this, &Self::DoSetOptimizer);
  generic.Add(kService, method("GetOptimizer", CallKind::kRead), this, &Self::DoGetOptimizer);
  generic.Add<StepCall>(kService, method("ApplyGradients", CallKind::kChange), this,
                        &Self::DoApplyGradients);
  generic.Add<StepCall>(kService, method("TrainStep", CallKind::kChange), this, &Self::DoTrainStep);
  const Method backward = method("Backward", CallKind::kRead);
  generic.Add(kService, backward.name, [this, backward](GenericMethods::Context* call) {
    return GenericMethods::Begun(new BackwardCall(
        backward, host_,
        [this](const v1::BackwardRequest& request, const Parts& parts) {
          return DoBackward(request, parts);
        },
        call));
  });
}

StatusOr<v1::SetTrainableResponse> TrainingServiceImpl::DoSetTrainable(
    const v1::SetTrainableRequest& request, const Parts&) {
  TCONV_ASSIGN_OR_RETURN(const auto layer,
                         training_.SetTrainable(request.name(), request.trainable()));
  v1::SetTrainableResponse response;
  *response.mutable_layer() = ToProto(host_.Describe(*layer));
  return response;
}

StatusOr<v1::SetOptimizerResponse> TrainingServiceImpl::DoSetOptimizer(
    const v1::SetOptimizerRequest& request, const Parts& parts) {
  TCONV_ASSIGN_OR_RETURN(const Optimizer optimizer, OptimizerOf(request));
  OptimizerState state;
  state.iterations = request.iterations();
  TCONV_ASSIGN_OR_RETURN(
      state.slots, Within("slots", OptimizerSlotsFromProto(
                                       request.slots(), v1::SetOptimizerRequest::kSlotsFieldNumber,
                                       parts.payloads)));
  TCONV_ASSIGN_OR_RETURN(const auto layer,
                         training_.SetOptimizer(request.name(), optimizer, std::move(state)));
  v1::SetOptimizerResponse response;
  *response.mutable_layer() = ToProto(host_.Describe(*layer));
  return response;
}

StatusOr<WithPayloads<v1::GetOptimizerResponse>> TrainingServiceImpl::DoGetOptimizer(
    const v1::GetOptimizerRequest& request, const Parts&) {
  TCONV_ASSIGN_OR_RETURN(OptimizerInfo info, training_.GetOptimizer(request.name()));
  WithPayloads<v1::GetOptimizerResponse> response;
  *response.message.mutable_optimizer() = ToProto(info.optimizer);
  response.message.set_keras_json(ToKerasJson(info.optimizer));
  response.message.set_iterations(info.state.iterations);
  response.message.set_weights_version(info.weights_version);
  if (info.state.slots.empty()) return response;
  const auto slots = std::make_shared<const OptimizerSlots>(std::move(info.state.slots));
  ToProto(*slots, response.message.mutable_slots());
  response.payloads = PayloadsOf(*slots, slots);
  return response;
}

StatusOr<WithPayloads<v1::BackwardResponse>> TrainingServiceImpl::DoBackward(
    const v1::BackwardRequest& request, const Parts& parts) {
  using Request = v1::BackwardRequest;
  using Response = v1::BackwardResponse;
  TCONV_RETURN_IF_ERROR(CheckHas("input", request.has_input()));
  TCONV_RETURN_IF_ERROR(CheckHas("upstream", request.has_upstream()));
  TCONV_ASSIGN_OR_RETURN(ReceivedTensor input,
                         Receive<ReceivedTensor>("input", request.input(),
                                                 Request::kInputFieldNumber, parts.payloads));
  TCONV_ASSIGN_OR_RETURN(ReceivedTensor upstream,
                         Receive<ReceivedTensor>("upstream", request.upstream(),
                                                 Request::kUpstreamFieldNumber, parts.payloads));
  TCONV_ASSIGN_OR_RETURN(
      BackwardResult result,
      training_.Backward({.layer = request.name(),
                          .input = &input,
                          .upstream = &upstream,
                          .include_losses = request.include_losses(),
                          .min_version = request.min_version(),
                          .wanted = {.input = !request.skip_input_gradient(),
                                     .weights = !request.skip_weight_gradients()}}));
  WithPayloads<Response> response;
  response.message.set_weights_version(result.weights_version);
  for (const Loss& loss : result.losses) *response.message.add_losses() = ToProto(loss);
  if (!request.skip_input_gradient()) {
    AddTensor(std::move(result.gradients.input), kElementsPath<Response::kInputGradientFieldNumber>,
              response.message.mutable_input_gradient(), response);
  }
  if (request.skip_weight_gradients()) return response;
  constexpr int kField = Response::kWeightGradientsFieldNumber;
  WeightTensors& weights = result.gradients.weights;
  v1::Weights& out = *response.message.mutable_weight_gradients();
  AddTensor(std::move(weights.kernel), kKernelPath<kField>, out.mutable_kernel(), response);
  if (weights.bias.has_value()) {
    AddTensor(*std::move(weights.bias), kBiasPath<kField>, out.mutable_bias(), response);
  }
  return response;
}

StatusOr<v1::ApplyGradientsResponse> TrainingServiceImpl::DoApplyGradients(
    const v1::ApplyGradientsRequest& request, const Parts& parts) {
  TCONV_RETURN_IF_ERROR(CheckHas("gradients", request.has_gradients()));
  TCONV_ASSIGN_OR_RETURN(
      ReceivedWeights gradients,
      Receive<ReceivedWeights>("gradients", request.gradients(),
                               v1::ApplyGradientsRequest::kGradientsFieldNumber, parts.payloads));
  TCONV_ASSIGN_OR_RETURN(const StepOutcome outcome,
                         training_.ApplyGradients(TermsOf(request), gradients.source()));
  parts.times.plan = outcome.read_time;
  v1::ApplyGradientsResponse response;
  SetOutcome(outcome, &response);
  return response;
}

StatusOr<WithPayloads<v1::TrainStepResponse>> TrainingServiceImpl::DoTrainStep(
    const v1::TrainStepRequest& request, const Parts& parts) {
  using Request = v1::TrainStepRequest;
  using Response = v1::TrainStepResponse;
  TCONV_RETURN_IF_ERROR(CheckHas("input", request.has_input()));
  TCONV_ASSIGN_OR_RETURN(std::optional<DataLoss> loss, LossOf(request));
  TCONV_ASSIGN_OR_RETURN(ReceivedTensor input,
                         Receive<ReceivedTensor>("input", request.input(),
                                                 Request::kInputFieldNumber, parts.payloads));
  TCONV_ASSIGN_OR_RETURN(
      ReceivedTensor signal,
      request.has_target()
          ? Receive<ReceivedTensor>("target", request.target(), Request::kTargetFieldNumber,
                                    parts.payloads)
          : Receive<ReceivedTensor>("upstream", request.upstream(), Request::kUpstreamFieldNumber,
                                    parts.payloads));
  TCONV_ASSIGN_OR_RETURN(
      TrainStepResult result,
      training_.TrainStep({.terms = TermsOf(request),
                           .input = &input,
                           .loss = std::move(loss),
                           .signal = &signal,
                           .return_output = request.return_output(),
                           .return_input_gradient = request.return_input_gradient()}));
  parts.times.plan = result.outcome.read_time;
  WithPayloads<Response> response;
  SetOutcome(result.outcome, &response.message);
  if (result.loss.has_value()) response.message.set_loss(*result.loss);
  for (const Loss& term : result.layer_losses) *response.message.add_losses() = ToProto(term);
  if (result.output.has_value()) {
    AddTensor(*std::move(result.output), kElementsPath<Response::kOutputFieldNumber>,
              response.message.mutable_output(), response);
  }
  if (result.input_gradient.has_value()) {
    AddTensor(*std::move(result.input_gradient), kElementsPath<Response::kInputGradientFieldNumber>,
              response.message.mutable_input_gradient(), response);
  }
  return response;
}

}  // namespace tconv::server
