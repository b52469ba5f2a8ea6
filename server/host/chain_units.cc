#include "server/host/chain_units.h"

#include <algorithm>

#include "server/compute/wide_type.h"

namespace tconv::server {
namespace {

bool CanTakeActivation(const LayerConfig& config) {
  return config.activation.is_linear() && !config.activity_regularizer.has_value() &&
         !IsNarrow(config.dtype.compute);
}

ChainUnit UnitOf(size_t step, const Layer& layer) {
  return {.step = step,
          .layer = layer.name(),
          .config = layer.settings()->config,
          .in_channels = layer.newest().in_channels,
          .passes = {}};
}

// As Activation::OutputShape(), of a shape with extents that are not known.
StatusOr<PartialShape> Behind(const Activation& activation, PartialShape shape) {
  if (activation.is_elementwise()) return shape;
  // Any even extent stands for one that is not known.
  constexpr int64_t kAnyExtent = 2;
  std::vector<int64_t> dims = shape;
  std::ranges::replace(dims, kUnknownDim, kAnyExtent);
  TCONV_ASSIGN_OR_RETURN(const Shape known, Shape::Make(dims));
  TCONV_ASSIGN_OR_RETURN(const Shape output, activation.OutputShape(known));
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] != kUnknownDim) shape[axis] = output[static_cast<int>(axis)];
  }
  return shape;
}

// Behind the activation of the layer and the passes.
StatusOr<PartialShape> BehindFunctions(const ChainUnit& unit, PartialShape shape) {
  TCONV_ASSIGN_OR_RETURN(shape, Behind(unit.config.activation, std::move(shape)));
  for (const Activation& pass : unit.passes) {
    TCONV_ASSIGN_OR_RETURN(shape, Behind(pass, std::move(shape)));
  }
  return shape;
}

}  // namespace

StatusOr<Shape> ChainUnit::ShapeBehindPasses(Shape shape) const {
  for (const Activation& pass : passes) {
    TCONV_ASSIGN_OR_RETURN(shape, pass.OutputShape(shape));
  }
  return shape;
}

std::vector<ChainUnit> UnitsOf(const ChainRecord& chain,
                               std::span<const std::shared_ptr<Layer>> layers) {
  std::vector<ChainUnit> units;
  for (size_t i = 0; i < chain.steps.size(); ++i) {
    if (const auto* const key = std::get_if<LayerKey>(&chain.steps[i])) {
      units.push_back(UnitOf(i, **std::ranges::find(layers, key->id, &Layer::id)));
      continue;
    }
    const auto& activation = std::get<Activation>(chain.steps[i]);
    ChainUnit& unit = units.back();
    const bool is_next = unit.step + 1 == i;
    if (activation.is_linear()) continue;
    if (is_next && CanTakeActivation(unit.config)) {
      unit.config.activation = activation;
    } else {
      unit.passes.push_back(activation);
    }
  }
  return units;
}

StatusOr<std::vector<UnitShapes>> ShapesOf(std::span<const ChainUnit> units,
                                           const Shape& input_shape) {
  std::vector<UnitShapes> shapes;
  Shape shape = input_shape;
  for (const ChainUnit& unit : units) {
    auto problem = MakeDeconvProblem(unit.config, unit.in_channels, shape);
    if (!problem.ok()) return InStep(unit.step, problem.status());
    auto output = unit.ShapeBehindPasses(problem->dst_shape());
    if (!output.ok()) {
      return InvalidField("input.shape", "a function behind step {} cannot run over {}: {}",
                          unit.step, ToString(problem->dst_shape()), MessageOf(output.status()));
    }
    shape = *output;
    shapes.push_back({*std::move(problem), *std::move(output)});
  }
  return shapes;
}

StatusOr<int64_t> OutputChannelsOf(const ChainUnit& unit) {
  PartialShape shape(static_cast<size_t>(unit.config.tensor_rank()), kUnknownDim);
  const auto channel_axis = static_cast<size_t>(unit.config.channel_axis());
  shape[channel_axis] = unit.config.filters;
  TCONV_ASSIGN_OR_RETURN(shape, BehindFunctions(unit, std::move(shape)));
  return shape[channel_axis];
}

StatusOr<PartialShape> OutputShapeOf(std::span<const ChainUnit> units,
                                     std::span<const int64_t> input_shape) {
  PartialShape shape(input_shape.begin(), input_shape.end());
  for (const ChainUnit& unit : units) {
    auto output = ComputeOutputShape(unit.config, shape);
    if (output.ok()) output = BehindFunctions(unit, *std::move(output));
    if (!output.ok()) return InStep(unit.step, output.status());
    shape = *std::move(output);
  }
  return shape;
}

Status InStep(size_t step, const Status& status) {
  if (status.ok() || step == 0) return status;
  if (const std::string field = FieldOf(status); !field.empty()) {
    return InvalidField(field, "step {}: {}", step, DescriptionOf(status));
  }
  return MakeError(status.code(), "step {}: {}", step, MessageOf(status));
}

}  // namespace tconv::server
