// The weights of a layer.
#pragma once

#include <cstdint>
#include <optional>

#include "server/base/status.h"
#include "server/layer/layer_config.h"
#include "server/tensor/tensor.h"
#include "server/tensor/tensor_source.h"

namespace tconv::server {

// One version of the weights, in the variable dtype. Shared as
// shared_ptr<const Weights> and never changed.
struct Weights {
  Tensor kernel;               // [kernel_size..., filters, in_channels]
  std::optional<Tensor> bias;  // [filters]
  int64_t version = 0;         // 1 for the first weights of a layer

  int64_t in_channels() const { return kernel.shape()[kernel.shape().rank() - 1]; }
  int64_t size_bytes() const {
    return kernel.size_bytes() + (bias.has_value() ? bias->size_bytes() : 0);
  }
};

// One tensor for each weight of a layer, in its shape: gradients, or what an optimizer
// remembers.
struct WeightTensors {
  Tensor kernel;
  std::optional<Tensor> bias;  // present exactly when the layer has one

  int64_t size_bytes() const {
    return kernel.size_bytes() + (bias.has_value() ? bias->size_bytes() : 0);
  }
};

// Weights as they arrive: borrowed, unchecked. `bias` is null where there is none.
struct WeightsSource {
  TensorSource* kernel = nullptr;
  TensorSource* bias = nullptr;
};

// INVALID_ARGUMENT (about `kernel`) when the kernel would be too large to
// address.
StatusOr<Shape> KernelShape(const LayerConfig& config, int64_t in_channels);
Shape BiasShape(const LayerConfig& config);
// REQUIRES: KernelShape() is ok.
int64_t ParameterCount(const LayerConfig& config, int64_t in_channels);

// New weights from the config's initializers, at version 1. INVALID_ARGUMENT
// when an initializer or constraint cannot work on the shapes;
// RESOURCE_EXHAUSTED without memory.
StatusOr<Weights> InitializeWeights(const LayerConfig& config, int64_t in_channels);

// INVALID_ARGUMENT (about `kernel`, `bias`): a shape that is not exactly the
// layer's, a missing or superfluous bias.
Status CheckWeightShapes(const LayerConfig& config, int64_t in_channels, const Shape& kernel,
                         const std::optional<Shape>& bias);

// Fetches the given tensors, in the variable dtype, as `version`. Errors of
// CheckWeightShapes(); RESOURCE_EXHAUSTED without memory.
StatusOr<Weights> MakeWeights(const LayerConfig& config, int64_t in_channels,
                              const WeightsSource& source, int64_t version);
// The tensors themselves, or copies of those that are not in the variable dtype.
StatusOr<Weights> AdoptWeights(const LayerConfig& config, int64_t in_channels, Tensor kernel,
                               std::optional<Tensor> bias, int64_t version);

}  // namespace tconv::server
