#include "server/layer/weights.h"

#include <string>
#include <utility>
#include <vector>

namespace tconv::server {
namespace {

Status CheckShape(std::string_view field, const Shape& expected, const Shape& got) {
  if (got == expected) return OkStatus();
  return InvalidField(field, "expected {}, got {}", ToString(expected), ToString(got));
}

StatusOr<Tensor> Initialized(const Initializer& initializer, DType dtype, const Shape& shape) {
  TCONV_RETURN_IF_ERROR(initializer.Accepts(shape));
  TCONV_ASSIGN_OR_RETURN(Tensor weight, Tensor::Allocate(dtype, shape));
  initializer.Fill(weight.mutable_view());
  return weight;
}

}  // namespace

StatusOr<Shape> KernelShape(const LayerConfig& config, int64_t in_channels) {
  std::vector<int64_t> dims = config.kernel_size;
  dims.insert(dims.end(), {config.filters, in_channels});
  StatusOr<Shape> shape = Shape::Make(dims);
  if (shape.ok()) return shape;
  return InvalidField("kernel", "{}", std::string(shape.status().message()));
}

Shape BiasShape(const LayerConfig& config) { return {config.filters}; }

int64_t ParameterCount(const LayerConfig& config, int64_t in_channels) {
  return KernelShape(config, in_channels)->num_elements() + (config.use_bias ? config.filters : 0);
}

StatusOr<Weights> InitializeWeights(const LayerConfig& config, int64_t in_channels) {
  const DType dtype = config.dtype.variable;
  TCONV_ASSIGN_OR_RETURN(const Shape kernel_shape, KernelShape(config, in_channels));
  StatusOr<Tensor> kernel = Initialized(config.kernel_initializer, dtype, kernel_shape);
  if (!kernel.ok()) return InField("kernel_initializer", kernel.status());
  Weights weights{std::move(*kernel), std::nullopt, 1};
  if (config.use_bias) {
    StatusOr<Tensor> bias = Initialized(config.bias_initializer, dtype, BiasShape(config));
    if (!bias.ok()) return InField("bias_initializer", bias.status());
    weights.bias = std::move(*bias);
  }
  return weights;
}

Status CheckWeightShapes(const LayerConfig& config, int64_t in_channels, const Shape& kernel,
                         const std::optional<Shape>& bias) {
  TCONV_ASSIGN_OR_RETURN(const Shape kernel_shape, KernelShape(config, in_channels));
  TCONV_RETURN_IF_ERROR(CheckShape("kernel.shape", kernel_shape, kernel));
  if (config.use_bias && !bias.has_value()) {
    return InvalidField("bias", "expected {}, got nothing", ToString(BiasShape(config)));
  }
  if (!config.use_bias && bias.has_value()) {
    return InvalidField("bias", "expected nothing for a layer without bias, got {}",
                        ToString(*bias));
  }
  return bias.has_value() ? CheckShape("bias.shape", BiasShape(config), *bias) : OkStatus();
}

StatusOr<Weights> MakeWeights(const LayerConfig& config, int64_t in_channels,
                              const WeightsSource& source, int64_t version) {
  TCONV_RETURN_IF_ERROR(CheckWeightShapes(
      config, in_channels, source.kernel->shape(),
      source.bias != nullptr ? std::optional(source.bias->shape()) : std::nullopt));
  Weights weights;
  TCONV_ASSIGN_OR_RETURN(weights.kernel, Fetch(*source.kernel, config.dtype.variable));
  if (source.bias != nullptr) {
    TCONV_ASSIGN_OR_RETURN(weights.bias, Fetch(*source.bias, config.dtype.variable));
  }
  weights.version = version;
  return weights;
}

StatusOr<Weights> AdoptWeights(const LayerConfig& config, int64_t in_channels, Tensor kernel,
                               std::optional<Tensor> bias, int64_t version) {
  TCONV_RETURN_IF_ERROR(
      CheckWeightShapes(config, in_channels, kernel.shape(),
                        bias.has_value() ? std::optional(bias->shape()) : std::nullopt));
  const auto adopt = [&](Tensor tensor) -> StatusOr<Tensor> {
    if (tensor.dtype() == config.dtype.variable) return tensor;
    return Tensor::Converted(tensor.view(), config.dtype.variable);
  };
  Weights weights;
  TCONV_ASSIGN_OR_RETURN(weights.kernel, adopt(std::move(kernel)));
  if (bias.has_value()) {
    TCONV_ASSIGN_OR_RETURN(weights.bias, adopt(*std::move(bias)));
  }
  weights.version = version;
  return weights;
}

}  // namespace tconv::server
