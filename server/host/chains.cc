#include "server/host/chains.h"

#include <algorithm>
#include <utility>

#include "server/host/chain_session.h"
#include "server/host/chain_units.h"

namespace tconv::server {
namespace {

constexpr size_t kMaxSteps = 256;

std::string StepField(size_t step) { return fmt::format("steps[{}]", step); }

std::string_view NameOf(DataFormat data_format) {
  return data_format == DataFormat::kChannelsFirst ? "channels_first" : "channels_last";
}

Status CheckSteps(const ChainDraft& draft) {
  if (draft.steps.empty() || draft.steps.size() > kMaxSteps) {
    return InvalidField("steps", "expected 1 to {}, got {}", kMaxSteps, draft.steps.size());
  }
  if (std::holds_alternative<Activation>(draft.steps.front())) {
    return InvalidField(StepField(0), "expected a layer first, got a function");
  }
  return OkStatus();
}

// The functions of a unit, each by itself, so that an error names its step.
Status CheckFunctions(const ChainDraft& draft, const ChainUnit& unit) {
  for (size_t i = unit.step + 1; i < draft.steps.size(); ++i) {
    const auto* const activation = std::get_if<Activation>(&draft.steps[i]);
    if (activation == nullptr) return OkStatus();
    if (activation->is_elementwise()) continue;
    const Status valid = activation->AxisOf(unit.config.tensor_rank()).status();
    if (!valid.ok()) return InField(StepField(i) + ".activation", valid);
  }
  return OkStatus();
}

// Whether `unit` takes what `channels` of `before` are.
Status CheckFits(const ChainUnit& before, int64_t channels, const ChainUnit& unit) {
  const std::string field = StepField(unit.step) + ".layer";
  if (unit.config.spatial_rank != before.config.spatial_rank) {
    return InvalidField(field, "expected {} spatial axes, those of layer \"{}\", got {}",
                        before.config.spatial_rank, before.layer, unit.config.spatial_rank);
  }
  if (unit.config.data_format != before.config.data_format) {
    return InvalidField(field, "expected {}, as layer \"{}\" has it, got {}",
                        NameOf(before.config.data_format), before.layer,
                        NameOf(unit.config.data_format));
  }
  if (unit.in_channels != channels) {
    return InvalidField(field, "expected a layer for {} channels, as step {} gives them, got {}",
                        channels, unit.step - 1, unit.in_channels);
  }
  return OkStatus();
}

Status CheckFit(const ChainDraft& draft, std::span<const ChainUnit> units) {
  int64_t channels = 0;
  for (size_t i = 0; i < units.size(); ++i) {
    if (i > 0) TCONV_RETURN_IF_ERROR(CheckFits(units[i - 1], channels, units[i]));
    TCONV_RETURN_IF_ERROR(CheckFunctions(draft, units[i]));
    const StatusOr<int64_t> output = OutputChannelsOf(units[i]);
    if (!output.ok()) {
      return InvalidField(StepField(units[i].step), "a function behind this layer cannot run: {}",
                          MessageOf(output.status()));
    }
    channels = *output;
  }
  return OkStatus();
}

// [?, ?, ..., channels] or [?, channels, ?, ...].
PartialShape ShapeOfChannels(const LayerConfig& config, int64_t channels) {
  PartialShape shape(static_cast<size_t>(config.tensor_rank()), kUnknownDim);
  shape[static_cast<size_t>(config.channel_axis())] = channels;
  return shape;
}

}  // namespace

StatusOr<std::vector<std::shared_ptr<Layer>>> Chains::LayersOf(const ChainDraft& draft,
                                                               ChainRecord& record) {
  std::vector<std::shared_ptr<Layer>> layers;
  for (const ChainDraft::Step& step : draft.steps) {
    if (const auto* const activation = std::get_if<Activation>(&step)) {
      record.steps.emplace_back(*activation);
      continue;
    }
    TCONV_ASSIGN_OR_RETURN(std::shared_ptr<Layer> layer,
                           catalog_.FindBuilt(std::get<std::string>(step)));
    record.steps.emplace_back(layer->key());
    layers.push_back(std::move(layer));
  }
  return layers;
}

StatusOr<ChainInfo> Chains::Create(const ChainDraft& draft) {
  TCONV_RETURN_IF_ERROR(CheckSteps(draft));
  ChainRecord record{.name = draft.name, .steps = {}};
  TCONV_ASSIGN_OR_RETURN(const auto layers, LayersOf(draft, record));
  TCONV_RETURN_IF_ERROR(CheckFit(draft, UnitsOf(record, layers)));
  TCONV_ASSIGN_OR_RETURN(const auto chain, catalog_.CreateChain(std::move(record)));
  return Describe(*chain);
}

StatusOr<ChainInfo> Chains::Get(const std::string& name) {
  TCONV_ASSIGN_OR_RETURN(const auto chain, catalog_.FindChain(name));
  return Describe(*chain);
}

StatusOr<ChainInfo> Chains::Describe(const ChainRecord& chain) const {
  TCONV_ASSIGN_OR_RETURN(const auto layers, catalog_.FindLayersOf(chain));
  const std::vector<ChainUnit> units = UnitsOf(chain, layers);
  const ChainUnit& last = units.back();
  ChainInfo info;
  info.name = chain.name;
  for (const auto& layer : layers) info.weights_version += layer->snapshot().weights_version;
  for (const ChainStep& step : chain.steps) {
    if (const auto* const activation = std::get_if<Activation>(&step)) {
      info.steps.emplace_back(*activation);
      continue;
    }
    const int64_t id = std::get<LayerKey>(step).id;
    const Layer& layer = **std::ranges::find(layers, id, &Layer::id);
    info.steps.emplace_back(
        ChainLayer{layer.name(), layer.settings()->config, layer.newest().in_channels});
  }
  info.input_shape = ShapeOfChannels(units.front().config, units.front().in_channels);
  TCONV_ASSIGN_OR_RETURN(const int64_t channels, OutputChannelsOf(last));
  info.output_shape = ShapeOfChannels(last.config, channels);
  info.output_dtype = last.config.dtype.compute;
  info.data_format = last.config.data_format;
  return info;
}

ChainPage Chains::List(const std::string& after, size_t limit,
                       const LayerRegistry::NamePredicate& includes) const {
  ChainPage page;
  // One more than asked for tells whether there is a next page.
  const auto chains = catalog_.ChainsAfter(after, limit + 1, includes);
  for (size_t i = 0; i < std::min(limit, chains.size()); ++i) {
    StatusOr<ChainInfo> info = Describe(*chains[i]);
    if (info.ok()) page.chains.push_back(*std::move(info));
  }
  if (chains.size() > limit) page.next = chains[limit - 1]->name;
  return page;
}

void Chains::ForwardTogether(const ChainRecord& chain, std::span<ForwardJob* const> jobs) const {
  const StatusOr<ServedChain> served = ServeChain(catalog_, chain);
  if (served.ok()) return forward_.Run(*served, jobs);
  for (ForwardJob* const job : jobs) job->result = served.status();
}

StatusOr<std::unique_ptr<ForwardSession>> Chains::StreamForward(
    const ChainRecord& chain, const StreamedForward& forward) const {
  TCONV_ASSIGN_OR_RETURN(const ServedChain served, ServeChain(catalog_, chain));
  TCONV_RETURN_IF_ERROR(CheckMayUse(served, forward.caller));
  if (served.version() < forward.min_version) {
    return VersionNotServed(served.versioned(), forward.min_version);
  }
  return ChainSession::Make(layers_, pool_, served, forward);
}

ForwardOutlook Chains::OutlookOf(const ChainRecord& chain, const Shape& input_shape) const {
  const auto layers = catalog_.FindLayersOf(chain);
  if (!layers.ok()) return {};
  const std::vector<ChainUnit> units = UnitsOf(chain, *layers);
  const auto shapes = ShapesOf(units, input_shape);
  if (!shapes.ok()) return {};
  ForwardOutlook outlook;
  for (size_t i = 0; i < units.size(); ++i) {
    const auto served = catalog_.Peek(units[i].layer);
    const auto plan =
        served.has_value() ? layers_.plans().Find((*shapes)[i].problem, served->weights) : nullptr;
    if (plan == nullptr) return {};
    outlook.least_time += plan->least_time.value();
    // What one of the layers gains, all calls have.
    outlook.gains_together = outlook.gains_together || plan->gains_in_batches;
  }
  return outlook;
}

StatusOr<PartialShape> Chains::ComputeOutputShape(const ChainRecord& chain,
                                                  std::span<const int64_t> input_shape) const {
  TCONV_ASSIGN_OR_RETURN(const auto layers, catalog_.FindLayersOf(chain));
  return OutputShapeOf(UnitsOf(chain, layers), input_shape);
}

}  // namespace tconv::server
