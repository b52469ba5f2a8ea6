#include "server/layer/geometry.h"

#include <algorithm>
#include <cassert>
#include <initializer_list>
#include <string>

namespace tconv::server {
namespace {

// "[batch, height, width, channels]", for messages.
std::string LayoutOf(const LayerConfig& config) {
  constexpr const char* kSpatial[] = {"length", "height, width", "depth, height, width"};
  const char* spatial = kSpatial[config.spatial_rank - 1];
  return config.data_format == DataFormat::kChannelsLast
             ? fmt::format("[batch, {}, channels]", spatial)
             : fmt::format("[batch, channels, {}]", spatial);
}

Status CheckRank(std::string_view field, const LayerConfig& config,
                 std::span<const int64_t> input_shape) {
  if (std::ssize(input_shape) == config.tensor_rank()) return OkStatus();
  return InvalidField(field, "expected {} axes {}, got {}: {}", config.tensor_rank(),
                      LayoutOf(config), input_shape.size(), ToString(input_shape));
}

// Batch and spatial extents; kUnknownDim passes.
Status CheckExtents(std::string_view field, const LayerConfig& config,
                    std::span<const int64_t> input_shape) {
  for (int axis = 0; axis < config.tensor_rank(); ++axis) {
    const int64_t extent = input_shape[static_cast<size_t>(axis)];
    if (axis == config.channel_axis() || extent == kUnknownDim) continue;
    const int64_t lowest = axis == 0 ? 0 : 1;
    if (extent < lowest || extent > kMaxExtent) {
      return InvalidField(field, "expected {} to {} on axis {} of {}, got {}", lowest, kMaxExtent,
                          axis, LayoutOf(config), ToString(input_shape));
    }
  }
  return OkStatus();
}

// The shape of a tensor in `format`.
StatusOr<Shape> TensorShape(DataFormat format, int64_t batch, int64_t channels,
                            const std::vector<int64_t>& spatial) {
  std::vector<int64_t> dims = {batch};
  if (format == DataFormat::kChannelsFirst) dims.push_back(channels);
  dims.insert(dims.end(), spatial.begin(), spatial.end());
  if (format == DataFormat::kChannelsLast) dims.push_back(channels);
  return Shape::Make(dims);
}

std::vector<int64_t> Extents(const std::vector<AxisGeometry>& axes, int64_t AxisGeometry::*which) {
  std::vector<int64_t> extents;
  for (const AxisGeometry& axis : axes) extents.push_back(axis.*which);
  return extents;
}

}  // namespace

AxisGeometry MakeAxisGeometry(const LayerConfig& config, int spatial_axis, int64_t in) {
  const auto i = static_cast<size_t>(spatial_axis);
  AxisGeometry axis;
  axis.in = in;
  axis.kernel = config.kernel_size[i];
  axis.stride = config.strides[i];
  axis.dilation = config.dilation_rate[i];
  const int64_t effective = axis.effective_kernel();
  const int64_t last_start = (in - 1) * axis.stride;

  if (!config.output_padding.has_value()) {
    if (config.padding == Padding::kValid) {
      axis.out = last_start + std::max(effective, axis.stride);
    } else {
      axis.out = in * axis.stride;
      axis.crop_begin = std::max<int64_t>((effective - axis.stride) / 2, 0);
    }
    return axis;
  }
  const int64_t output_padding = (*config.output_padding)[i];
  if (config.padding == Padding::kValid) {
    axis.out = last_start + effective + output_padding;
  } else {
    axis.out = last_start + effective % 2 + output_padding;
    axis.crop_begin = std::max<int64_t>((effective - effective % 2 - output_padding) / 2, 0);
  }
  // A single input is not moved by the stride: phases beyond the output would
  // cost time and memory for nothing.
  if (in == 1) axis.stride = std::clamp<int64_t>(axis.out + axis.crop_begin, 1, axis.stride);
  return axis;
}

StatusOr<PartialShape> ComputeOutputShape(const LayerConfig& config,
                                          std::span<const int64_t> input_shape) {
  TCONV_RETURN_IF_ERROR(CheckRank("input_shape", config, input_shape));
  TCONV_RETURN_IF_ERROR(CheckExtents("input_shape", config, input_shape));
  PartialShape output(input_shape.begin(), input_shape.end());
  output[static_cast<size_t>(config.channel_axis())] = config.filters;
  for (int i = 0; i < config.spatial_rank; ++i) {
    int64_t& extent = output[static_cast<size_t>(config.first_spatial_axis() + i)];
    if (extent != kUnknownDim) extent = MakeAxisGeometry(config, i, extent).out;
  }
  return output;
}

StatusOr<int64_t> InputChannels(const LayerConfig& config, std::span<const int64_t> input_shape) {
  TCONV_RETURN_IF_ERROR(CheckRank("input_shape", config, input_shape));
  TCONV_RETURN_IF_ERROR(CheckExtents("input_shape", config, input_shape));
  const int64_t channels = input_shape[static_cast<size_t>(config.channel_axis())];
  if (channels < 1 || channels > kMaxExtent) {
    return InvalidField("input_shape", "expected 1 to {} channels on axis {} of {}, got {}",
                        kMaxExtent, config.channel_axis(), LayoutOf(config), ToString(input_shape));
  }
  return channels;
}

Shape DeconvProblem::src_shape() const {
  return *TensorShape(data_format, batch, in_channels, Extents(axes, &AxisGeometry::in));
}

Shape DeconvProblem::linear_shape() const {
  return *TensorShape(data_format, batch, out_channels, Extents(axes, &AxisGeometry::out));
}

Shape DeconvProblem::dst_shape() const { return *activation.OutputShape(linear_shape()); }

StatusOr<DeconvProblem> MakeDeconvProblem(const LayerConfig& config, int64_t in_channels,
                                          const Shape& input_shape) {
  constexpr std::string_view kField = "input.shape";
  TCONV_RETURN_IF_ERROR(CheckRank(kField, config, input_shape.dims()));
  if (input_shape[config.channel_axis()] != in_channels) {
    return InvalidField(kField, "expected {} channels on axis {}, got {}: {}", in_channels,
                        config.channel_axis(), input_shape[config.channel_axis()],
                        ToString(input_shape));
  }
  TCONV_RETURN_IF_ERROR(CheckExtents(kField, config, input_shape.dims()));

  DeconvProblem problem;
  problem.batch = input_shape[0];
  problem.in_channels = in_channels;
  problem.out_channels = config.filters;
  for (int i = 0; i < config.spatial_rank; ++i) {
    problem.axes.push_back(
        MakeAxisGeometry(config, i, input_shape[config.first_spatial_axis() + i]));
  }
  problem.data_format = config.data_format;
  problem.dtype = config.dtype.compute;
  problem.use_bias = config.use_bias;
  problem.activation = config.activation;

  const StatusOr<Shape> linear = TensorShape(config.data_format, problem.batch, config.filters,
                                             Extents(problem.axes, &AxisGeometry::out));
  if (!linear.ok()) {
    return InvalidField(kField, "the output for {} has {}", ToString(input_shape),
                        MessageOf(linear.status()));
  }
  if (const Status status = config.activation.OutputShape(*linear).status(); !status.ok()) {
    return InvalidField(kField, "the activation {} cannot run over the output {}",
                        config.activation.spec().name, ToString(*linear));
  }
  return problem;
}

}  // namespace tconv::server

size_t std::hash<tconv::server::DeconvProblem>::operator()(
    const tconv::server::DeconvProblem& problem) const {
  size_t seed = std::hash<std::string>()(problem.activation.spec().name);
  // Multiplication by 2^64 / golden ratio spreads neighbouring values.
  const auto mix = [&seed](auto... values) {
    ((seed = (seed ^ static_cast<size_t>(values)) * size_t{0x9e3779b97f4a7c15} ^ (seed >> 29)),
     ...);
  };
  mix(problem.batch, problem.in_channels, problem.out_channels, problem.data_format, problem.dtype,
      problem.use_bias);
  for (const tconv::server::AxisGeometry& axis : problem.axes) {
    mix(axis.in, axis.out, axis.kernel, axis.stride, axis.dilation, axis.crop_begin);
  }
  return seed;
}
