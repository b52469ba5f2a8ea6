// A layer small enough to know its outputs by heart.
#pragma once

#include <tconv/client.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace tconv::testing {

inline Tensor Filled(Shape shape, float value) {
  size_t count = 1;
  for (const int64_t extent : shape) count *= static_cast<size_t>(extent);
  const std::vector<float> values(count, value);
  return *Tensor::FromValues<float>(std::move(shape), values);
}

// Conv2DTranspose with 4 filters that doubles both spatial axes; every output
// position sees one tap.
inline v1::LayerConfig SmallConfig() {
  v1::LayerConfig config;
  config.set_class_name("Conv2DTranspose");
  config.set_filters(4);
  for (int axis = 0; axis < 2; ++axis) {
    config.add_kernel_size(2);
    config.add_strides(2);
  }
  return config;
}

// For 3 input channels: a kernel of `value` and no bias, so that an input of
// ones gives 3 * value everywhere.
inline Weights SmallWeights(float value) {
  return {.kernel = Filled({2, 2, 4, 3}, value), .bias = Filled({4}, 0)};
}

inline Tensor SmallInput() { return Filled({1, 2, 2, 3}, 1); }

inline NewLayer SmallLayer(std::string name, float value) {
  return {.name = std::move(name), .definition = SmallConfig(), .weights = SmallWeights(value)};
}

// Some ten million multiplications for the reference strategy: long enough to do
// something meanwhile, also with a sanitizer short enough to wait for.
inline NewLayer SlowLayer(std::string name) {
  v1::LayerConfig config;
  config.set_class_name("Conv2DTranspose");
  config.set_filters(32);
  config.add_kernel_size(3);
  config.add_kernel_size(3);
  return {.name = std::move(name), .definition = config, .input_shape = {-1, -1, -1, 32}};
}

inline Tensor SlowInput() { return Filled({1, 64, 64, 32}, 1); }

}  // namespace tconv::testing
