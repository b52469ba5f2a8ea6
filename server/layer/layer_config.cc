#include "server/layer/layer_config.h"

#include <algorithm>
#include <vector>

#include "server/tensor/shape.h"

namespace tconv::server {
namespace {

constexpr int kMaxSpatialRank = 3;

Status CheckName(const std::string& name) {
  if (name.find('/') == std::string::npos) return OkStatus();
  return InvalidField("name", "expected a name without \"/\", got \"{}\"", name);
}

Status CheckSizes(std::string_view field, const SpatialDims& sizes, int spatial_rank,
                  int64_t lowest) {
  if (std::ssize(sizes) != spatial_rank) {
    return InvalidField(field, "expected {} values, one for each spatial axis, got {}: {}",
                        spatial_rank, sizes.size(), ToString(sizes));
  }
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] >= lowest && sizes[i] <= kMaxExtent) continue;
    const std::string expected = sizes[i] > kMaxExtent ? fmt::format("<= {}", kMaxExtent)
                                 : lowest == 0         ? ">= 0"
                                                       : "> 0";
    return InvalidField(fmt::format("{}[{}]", field, i), "expected {}, got {}", expected, sizes[i]);
  }
  return OkStatus();
}

Status CheckFilters(const LayerConfig& config) {
  if (config.filters <= 0) return InvalidField("filters", "expected > 0, got {}", config.filters);
  if (config.filters > kMaxExtent) {
    return InvalidField("filters", "expected <= {}, got {}", kMaxExtent, config.filters);
  }
  return OkStatus();
}

Status CheckOutputPaddingIsBelowStrides(const LayerConfig& config) {
  if (!config.output_padding.has_value()) return OkStatus();
  for (size_t i = 0; i < config.strides.size(); ++i) {
    const int64_t padding = (*config.output_padding)[i];
    if (padding >= config.strides[i]) {
      return InvalidField(fmt::format("output_padding[{}]", i),
                          "expected less than strides[{}] ({}), got {}", i, config.strides[i],
                          padding);
    }
  }
  return OkStatus();
}

// On different axes, too: Keras compares the maxima.
Status CheckStridesExcludeDilation(const LayerConfig& config) {
  const auto is_above_one = [](int64_t size) { return size > 1; };
  if (std::ranges::none_of(config.strides, is_above_one) ||
      std::ranges::none_of(config.dilation_rate, is_above_one)) {
    return OkStatus();
  }
  return InvalidField("dilation_rate", "expected all 1 because of strides {}, got {}",
                      ToString(config.strides), ToString(config.dilation_rate));
}

// With one input channel for all that are possible: only ranks and the sizes of
// the config matter here.
StatusOr<Shape> SmallestKernel(const LayerConfig& config) {
  std::vector<int64_t> dims = config.kernel_size;
  dims.insert(dims.end(), {config.filters, 1});
  StatusOr<Shape> shape = Shape::Make(dims);
  if (shape.ok()) return shape;
  return InvalidField("kernel_size", "the kernel has {}", MessageOf(shape.status()));
}

Status CheckObjectsFitTheWeights(const LayerConfig& config) {
  TCONV_ASSIGN_OR_RETURN(const Shape kernel, SmallestKernel(config));
  const Shape bias = {config.filters};
  TCONV_RETURN_IF_ERROR(InField("kernel_initializer", config.kernel_initializer.Accepts(kernel)));
  if (config.kernel_constraint.has_value()) {
    TCONV_RETURN_IF_ERROR(
        InField("kernel_constraint", config.kernel_constraint->Accepts(kernel.rank())));
  }
  if (!config.use_bias) return OkStatus();
  TCONV_RETURN_IF_ERROR(InField("bias_initializer", config.bias_initializer.Accepts(bias)));
  if (config.bias_constraint.has_value()) {
    TCONV_RETURN_IF_ERROR(InField("bias_constraint", config.bias_constraint->Accepts(bias.rank())));
  }
  return OkStatus();
}

// Of the output only the channels are known; an extent of 2 suits every
// activation.
Status CheckActivationFitsTheOutput(const LayerConfig& config) {
  std::vector<int64_t> dims(static_cast<size_t>(config.tensor_rank()), 2);
  dims[static_cast<size_t>(config.channel_axis())] = config.filters;
  TCONV_ASSIGN_OR_RETURN(const Shape output, Shape::Make(dims));
  return InField("activation", config.activation.OutputShape(output).status());
}

}  // namespace

Status Validate(const LayerConfig& config) {
  TCONV_RETURN_IF_ERROR(CheckName(config.name));
  const int rank = config.spatial_rank;
  if (rank < 1 || rank > kMaxSpatialRank) {
    return InvalidField("class_name", "expected 1 to {} spatial axes, got {}", kMaxSpatialRank,
                        rank);
  }
  TCONV_RETURN_IF_ERROR(CheckSizes("kernel_size", config.kernel_size, rank, 1));
  TCONV_RETURN_IF_ERROR(CheckSizes("strides", config.strides, rank, 1));
  TCONV_RETURN_IF_ERROR(CheckSizes("dilation_rate", config.dilation_rate, rank, 1));
  if (config.output_padding.has_value()) {
    TCONV_RETURN_IF_ERROR(CheckSizes("output_padding", *config.output_padding, rank, 0));
  }
  TCONV_RETURN_IF_ERROR(CheckFilters(config));
  TCONV_RETURN_IF_ERROR(CheckOutputPaddingIsBelowStrides(config));
  TCONV_RETURN_IF_ERROR(CheckStridesExcludeDilation(config));
  TCONV_RETURN_IF_ERROR(CheckObjectsFitTheWeights(config));
  return CheckActivationFitsTheOutput(config);
}

std::string ClassName(int spatial_rank) { return fmt::format("Conv{}DTranspose", spatial_rank); }

StatusOr<int> SpatialRank(std::string_view class_name) {
  for (int rank = 1; rank <= kMaxSpatialRank; ++rank) {
    if (class_name == ClassName(rank) ||
        class_name == fmt::format("Convolution{}DTranspose", rank)) {
      return rank;
    }
  }
  return InvalidField("class_name",
                      "expected Conv1DTranspose, Conv2DTranspose or Conv3DTranspose, got \"{}\"",
                      class_name);
}

std::string SnakeCaseClassName(int spatial_rank) {
  return fmt::format("conv{}d_transpose", spatial_rank);
}

}  // namespace tconv::server
