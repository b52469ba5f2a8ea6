// What a transposed-convolution layer is: the arguments of
// keras.layers.Conv{1,2,3}DTranspose.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/base/status.h"
#include "server/layer/activation.h"
#include "server/layer/constraint.h"
#include "server/layer/dtype_policy.h"
#include "server/layer/initializer.h"
#include "server/layer/regularizer.h"

namespace tconv::server {

enum class Padding : uint8_t { kValid, kSame };
enum class DataFormat : uint8_t { kChannelsLast, kChannelsFirst };

// One int64_t for each spatial axis, outermost first.
using SpatialDims = std::vector<int64_t>;

// Bound of every size in a config and of every extent of an input, so that no
// sum or product of the output arithmetic overflows int64_t.
inline constexpr int64_t kMaxExtent = (int64_t{1} << 31) - 1;

// Defaults are Keras'. Sizes are always spelled out, one for each axis.
struct LayerConfig {
  int spatial_rank = 0;  // 1, 2 or 3
  std::string name;
  bool trainable = true;
  DTypePolicy dtype;
  int64_t filters = 0;
  SpatialDims kernel_size;
  SpatialDims strides;
  Padding padding = Padding::kValid;
  std::optional<SpatialDims> output_padding;
  DataFormat data_format = DataFormat::kChannelsLast;
  SpatialDims dilation_rate;
  Activation activation;
  bool use_bias = true;
  Initializer kernel_initializer;
  Initializer bias_initializer = Initializer::Zeros();
  std::optional<Regularizer> kernel_regularizer;
  std::optional<Regularizer> bias_regularizer;
  std::optional<Regularizer> activity_regularizer;
  std::optional<Constraint> kernel_constraint;
  std::optional<Constraint> bias_constraint;

  // Of inputs and outputs: batch, spatial axes, channels.
  int tensor_rank() const { return spatial_rank + 2; }
  // Index of the channel axis of inputs and outputs.
  int channel_axis() const {
    return data_format == DataFormat::kChannelsLast ? spatial_rank + 1 : 1;
  }
  // Index of the first spatial axis of inputs and outputs.
  int first_spatial_axis() const { return data_format == DataFormat::kChannelsLast ? 1 : 2; }

  friend bool operator==(const LayerConfig&, const LayerConfig&) = default;
};

// Everything that Keras checks when it constructs and builds a layer, as far as
// it does not depend on the input, in Keras' order; also that initializers,
// constraints and the activation can work on tensors of the ranks they will
// meet. INVALID_ARGUMENT with the path of the field as in v1::LayerConfig.
Status Validate(const LayerConfig& config);

// "Conv2DTranspose" for 2, and back; an unknown name is INVALID_ARGUMENT about
// `class_name`. Keras' aliases "Convolution2DTranspose" are understood.
std::string ClassName(int spatial_rank);
StatusOr<int> SpatialRank(std::string_view class_name);

// "conv2d_transpose" for 2: the stem of generated names.
std::string SnakeCaseClassName(int spatial_rank);

}  // namespace tconv::server
