// The arithmetic of output lengths, and the problem that strategies compute.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "server/base/status.h"
#include "server/layer/layer_config.h"
#include "server/tensor/shape.h"

namespace tconv::server {

// a / b, rounded up.
inline int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// One spatial axis of a transposed convolution. Input position i and tap j
// contribute to output position i * stride + j * dilation - crop_begin, when
// that is in [0, out). Positions that no tap reaches hold the bias alone.
struct AxisGeometry {
  int64_t in = 0;
  int64_t out = 0;
  int64_t kernel = 0;
  int64_t stride = 1;
  int64_t dilation = 1;
  int64_t crop_begin = 0;

  // (kernel - 1) * dilation + 1
  int64_t effective_kernel() const { return (kernel - 1) * dilation + 1; }
  // Positions of the full result cut at the end; negative where the output is
  // longer than the full result.
  int64_t crop_end() const { return (in - 1) * stride + effective_kernel() - out - crop_begin; }

  friend bool operator==(const AxisGeometry&, const AxisGeometry&) = default;
};

// An extent that a partial shape leaves open (Keras' None).
inline constexpr int64_t kUnknownDim = -1;
using PartialShape = std::vector<int64_t>;

// Output length and crop of one axis, from Keras' rules; independent of the
// other axes. The output may be empty. The stride of a single input, which moves
// nothing, is at most as long as the output and the crop. REQUIRES: a validated config;
// 0 < in <= kMaxExtent.
AxisGeometry MakeAxisGeometry(const LayerConfig& config, int spatial_axis, int64_t in);

// Keras' compute_output_shape: unknown extents stay unknown, the channels of
// the input are not looked at, and neither is the activation.
// INVALID_ARGUMENT (about `input_shape`): wrong rank, a negative batch, spatial
// extents that are not in [1, kMaxExtent].
StatusOr<PartialShape> ComputeOutputShape(const LayerConfig& config,
                                          std::span<const int64_t> input_shape);

// Channels of an input shape that may build a layer; INVALID_ARGUMENT (about
// `input_shape`) for a wrong rank, extents as in ComputeOutputShape(), and
// channels that are unknown or not in [1, kMaxExtent].
StatusOr<int64_t> InputChannels(const LayerConfig& config, std::span<const int64_t> input_shape);

// Everything that decides which code runs for one input shape of one layer.
// Hashable; equal problems are computed by equal plans.
struct DeconvProblem {
  int64_t batch = 0;
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  std::vector<AxisGeometry> axes;  // spatial, outermost first; 1 to 3 of them
  DataFormat data_format = DataFormat::kChannelsLast;
  DType dtype = DType::kFloat32;  // of src and dst; weights come in the variable dtype
  bool use_bias = true;
  Activation activation;

  Shape src_shape() const;
  // Shape of the linear result, before the activation.
  Shape linear_shape() const;
  // Shape of the result; differs from linear_shape() for glu only.
  Shape dst_shape() const;

  friend bool operator==(const DeconvProblem&, const DeconvProblem&) = default;
};

// The problem of `config` for an input of `input_shape`.
// INVALID_ARGUMENT (about `input.shape`): wrong rank or channels, spatial
// extents of zero, an output too large to address, an activation that cannot
// run over the output.
StatusOr<DeconvProblem> MakeDeconvProblem(const LayerConfig& config, int64_t in_channels,
                                          const Shape& input_shape);

}  // namespace tconv::server

template <>
struct std::hash<tconv::server::DeconvProblem> {
  size_t operator()(const tconv::server::DeconvProblem& problem) const;
};
