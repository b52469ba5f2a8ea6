#include "server/rpc/layer_info_codec.h"

#include <utility>

#include "server/wire/keras_json.h"
#include "server/wire/layer_codec.h"
#include "server/wire/optimizer_codec.h"

namespace tconv::server {
namespace {

// A value, or its error with the path beginning at `parent`.
template <typename T>
StatusOr<T> Within(std::string_view parent, StatusOr<T> value) {
  if (value.ok()) return value;
  return InField(parent, value.status());
}

Status ReadKerasJson(const v1::CreateRequest& request, LayerDraft* draft) {
  TCONV_ASSIGN_OR_RETURN(KerasLayer layer, ParseKerasJson(request.keras_json()));
  TCONV_ASSIGN_OR_RETURN(draft->config, LayerConfigFromProto(layer.config));
  if (layer.build_shape.empty() || !draft->input_shape.empty() || request.has_weights()) {
    return OkStatus();
  }
  // Checked here already, so that an error points into the text.
  TCONV_RETURN_IF_ERROR(
      InField("build_config", InputChannels(draft->config, layer.build_shape).status()));
  draft->input_shape = std::move(layer.build_shape);
  return OkStatus();
}

v1::PlanInfo ToProto(const CachedPlan& cached) {
  v1::PlanInfo info;
  const Shape input_shape = cached.problem.src_shape();
  info.mutable_input_shape()->Add(input_shape.dims().begin(), input_shape.dims().end());
  info.set_bytes_held(cached.plan->bytes_held());
  for (const StrategyVerdict& verdict : cached.verdicts) {
    v1::StrategyVerdict& out = *info.add_verdicts();
    out.set_strategy(verdict.strategy);
    out.set_chosen(verdict.chosen);
    out.set_reason(verdict.reason);
  }
  return info;
}

v1::LossSource ToProto(LossSource source) {
  switch (source) {
    case LossSource::kActivity:
      return v1::LOSS_SOURCE_ACTIVITY;
    case LossSource::kKernel:
      return v1::LOSS_SOURCE_KERNEL;
    case LossSource::kBias:
      return v1::LOSS_SOURCE_BIAS;
  }
  return v1::LOSS_SOURCE_UNSPECIFIED;
}

}  // namespace

Status InKerasJson(const Status& status) {
  constexpr char kField[] = "keras_json";
  if (status.code() == StatusCode::kInvalidArgument && FieldOf(status).empty()) {
    return InvalidField(kField, std::string(status.message()));
  }
  return InField(kField, status);
}

StatusOr<LayerDraft> LayerDraftFromProto(const v1::CreateRequest& request) {
  LayerDraft draft;
  draft.name = request.name();
  draft.input_shape.assign(request.input_shape().begin(), request.input_shape().end());
  switch (request.definition_case()) {
    case v1::CreateRequest::kConfig: {
      TCONV_ASSIGN_OR_RETURN(draft.config,
                             Within("config", LayerConfigFromProto(request.config())));
      return draft;
    }
    case v1::CreateRequest::kKerasJson:
      TCONV_RETURN_IF_ERROR(InKerasJson(ReadKerasJson(request, &draft)));
      return draft;
    case v1::CreateRequest::DEFINITION_NOT_SET:
      break;
  }
  return InvalidField("definition", "expected a config or keras_json, got neither");
}

Status CheckMinVersion(int64_t min_version) {
  if (min_version >= 0) return OkStatus();
  return InvalidField("min_version", "expected 0 or more, got {}", min_version);
}

v1::Layer ToProto(const LayerInfo& layer) {
  v1::Layer out;
  out.set_name(layer.name);
  *out.mutable_config() = ToProto(layer.config);
  out.set_keras_json(ToKerasJson(layer.config, layer.in_channels).value_or(""));
  out.set_input_channels(layer.in_channels);
  out.set_parameter_count(layer.parameter_count);
  out.set_weights_version(layer.weights_version);
  out.set_weight_bytes_held(layer.weight_bytes_held);
  for (const auto& plan : layer.plans) *out.add_plans() = ToProto(*plan);
  if (layer.optimizer.has_value()) *out.mutable_optimizer() = ToProto(*layer.optimizer);
  return out;
}

v1::Loss ToProto(const Loss& loss) {
  v1::Loss out;
  out.set_source(ToProto(loss.source));
  out.set_value(loss.value);
  return out;
}

}  // namespace tconv::server
