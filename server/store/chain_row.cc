#include "server/store/chain_row.h"

#include <optional>
#include <utility>

#include "server/store/store_errors.h"
#include "server/store/stored_chain.pb.h"
#include "server/wire/object_codec.h"

namespace tconv::server {
namespace {

using store::StoredChain;

StoredChain::Step ToProto(const ChainStep& step) {
  StoredChain::Step proto;
  if (const auto* const layer = std::get_if<LayerKey>(&step)) {
    proto.mutable_layer()->set_name(layer->name);
    proto.mutable_layer()->set_id(layer->id);
  } else {
    ToProto(std::get<Activation>(step).spec(), proto.mutable_activation());
  }
  return proto;
}

StatusOr<ChainStep> StepFromProto(const StoredChain::Step& proto) {
  switch (proto.step_case()) {
    case StoredChain::Step::kLayer:
      return ChainStep(LayerKey{proto.layer().name(), proto.layer().id()});
    case StoredChain::Step::kActivation: {
      TCONV_ASSIGN_OR_RETURN(Activation activation,
                             MakeObject<Activation>(proto.activation(), "activation"));
      return ChainStep(std::move(activation));
    }
    case StoredChain::Step::STEP_NOT_SET:
      break;
  }
  return MakeError(StatusCode::kInvalidArgument, "an unknown kind of step");
}

}  // namespace

LayerRow RowOf(const ChainRecord& chain) {
  StoredChain stored;
  for (const ChainStep& step : chain.steps) *stored.add_steps() = ToProto(step);
  return {.id = chain.id,
          .name = chain.name,
          .config = stored.SerializeAsString(),
          .kind = EntryKind::kChain};
}

StatusOr<ChainRecord> ChainOf(const LayerRow& row) {
  StoredChain stored;
  if (!row.is_intact || !stored.ParseFromString(row.config)) {
    return ChainDamaged(row.name, "the stored steps are not what was written");
  }
  ChainRecord chain{.name = row.name, .steps = {}, .id = row.id};
  for (const StoredChain::Step& proto : stored.steps()) {
    StatusOr<ChainStep> step = StepFromProto(proto);
    if (!step.ok()) {
      return ChainDamaged(row.name, "a stored step is not valid: " + MessageOf(step.status()));
    }
    chain.steps.push_back(*std::move(step));
  }
  return chain;
}

Status CheckIsWithout(const LayerRow& row, const LayerRow& layer) {
  const StatusOr<ChainRecord> chain = ChainOf(row);
  const bool has_layer = chain.ok() && HasLayer(*chain, layer.id);
  return has_layer ? ChainHasLayer(row.name, layer.name) : OkStatus();
}

}  // namespace tconv::server
