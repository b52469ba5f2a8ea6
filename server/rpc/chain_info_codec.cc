#include "server/rpc/chain_info_codec.h"

#include <string>
#include <utility>
#include <vector>

#include "server/wire/keras_json.h"
#include "server/wire/layer_codec.h"
#include "server/wire/object_codec.h"
#include "server/wire/tensor_codec.h"

namespace tconv::server {
namespace {

StatusOr<ChainDraft::Step> StepFromProto(const v1::ChainStep& step) {
  switch (step.step_case()) {
    case v1::ChainStep::kLayer:
      if (step.layer().empty()) return InvalidField("layer", "expected a name, got none");
      return ChainDraft::Step(step.layer());
    case v1::ChainStep::kActivation: {
      TCONV_ASSIGN_OR_RETURN(Activation activation,
                             MakeObject<Activation>(step.activation(), "activation"));
      return ChainDraft::Step(std::move(activation));
    }
    case v1::ChainStep::STEP_NOT_SET:
      break;
  }
  return InvalidField("step", "expected a layer or an activation, got neither");
}

KerasStep KerasStepOf(const std::variant<ChainLayer, Activation>& step) {
  if (const auto* const layer = std::get_if<ChainLayer>(&step)) {
    return KerasStepLayer{layer->name, layer->config, layer->in_channels};
  }
  return std::get<Activation>(step);
}

}  // namespace

StatusOr<ChainDraft> ChainDraftFromProto(const v1::CreateChainRequest& request) {
  ChainDraft draft;
  draft.name = request.name();
  for (int i = 0; i < request.steps_size(); ++i) {
    StatusOr<ChainDraft::Step> step = StepFromProto(request.steps(i));
    if (!step.ok()) return InField(fmt::format("steps[{}]", i), step.status());
    draft.steps.push_back(*std::move(step));
  }
  return draft;
}

v1::Chain ToProto(const ChainInfo& chain) {
  v1::Chain out;
  out.set_name(chain.name);
  std::vector<KerasStep> keras_steps;
  for (const auto& step : chain.steps) {
    keras_steps.push_back(KerasStepOf(step));
    v1::ChainStep& proto = *out.add_steps();
    if (const auto* const layer = std::get_if<ChainLayer>(&step)) {
      proto.set_layer(layer->name);
    } else {
      ToProto(std::get<Activation>(step).spec(), proto.mutable_activation());
    }
  }
  out.set_weights_version(chain.weights_version);
  out.mutable_input_shape()->Add(chain.input_shape.begin(), chain.input_shape.end());
  out.mutable_output_shape()->Add(chain.output_shape.begin(), chain.output_shape.end());
  out.set_output_dtype(ToProto(chain.output_dtype));
  out.set_data_format(ToProto(chain.data_format));
  out.set_keras_json(ToKerasJson(chain.name, keras_steps).value_or(""));
  return out;
}

}  // namespace tconv::server
