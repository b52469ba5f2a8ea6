#include "server/host/model_info.h"

#include <utility>

namespace tconv::server {
namespace {

// Any batch and spatial extents of a layer's input, with the channels if they are known.
PartialShape InputShapeOf(const LayerConfig& config, int64_t in_channels) {
  PartialShape shape(static_cast<size_t>(config.tensor_rank()), kUnknownDim);
  if (in_channels > 0) shape[static_cast<size_t>(config.channel_axis())] = in_channels;
  return shape;
}

// Extents that are known change where the activation changes them, which depends on no other.
PartialShape Activated(const Activation& activation, PartialShape shape) {
  constexpr int64_t kAnyEvenExtent = 2;
  PartialShape complete = shape;
  for (int64_t& extent : complete) {
    if (extent == kUnknownDim) extent = kAnyEvenExtent;
  }
  const StatusOr<Shape> linear = Shape::Make(complete);
  const StatusOr<Shape> result = linear.ok() ? activation.OutputShape(*linear) : linear;
  // No input has an output then; each is told so.
  if (!result.ok()) return shape;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] != kUnknownDim) shape[axis] = (*result)[static_cast<int>(axis)];
  }
  return shape;
}

}  // namespace

ModelInfo ModelOf(const Layer& layer, const Status& state) {
  const auto settings = layer.settings();
  const LayerSnapshot snapshot = layer.snapshot();
  const LayerConfig& config = settings->config;
  ModelInfo model;
  model.name = layer.name();
  model.id = layer.id();
  model.version = snapshot.weights_version;
  model.input_shape = InputShapeOf(config, snapshot.in_channels);
  // Extents that are unknown have no error.
  model.output_shape =
      Activated(config.activation, ComputeOutputShape(config, model.input_shape).value());
  model.dtype = config.dtype.compute;
  model.state = state;
  return model;
}

Status CheckServedVersion(const std::string& name, int64_t served, int64_t asked_for) {
  if (asked_for == served) return OkStatus();
  return MakeError(StatusCode::kNotFound, "\"{}\" is served at version {}, version {} is not", name,
                   served, asked_for);
}

}  // namespace tconv::server
