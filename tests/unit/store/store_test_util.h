// What the tests of the stores have in common: weights, and whole stores as
// values that can be compared.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <utility>

#include "server/layer/layer_config.h"
#include "server/layer/weights.h"
#include "server/store/layer_store.h"
#include "tests/support/layer_config_builder.h"
#include "tests/support/temp_folder.h"

namespace tconv::testing {

inline void FillWithRandomBits(std::mt19937_64& random, server::TensorView tensor) {
  for (int64_t i = 0; i < tensor.size_bytes(); ++i) {
    tensor.data[i] = static_cast<std::byte>(random());
  }
}

// Weights of every bit pattern, NaNs with payloads among them; equal arguments
// make equal weights.
inline server::Weights RandomWeights(const server::LayerConfig& config, int64_t in_channels,
                                     int64_t version, uint64_t seed = 0) {
  std::mt19937_64 random(seed * 1'000'003 + static_cast<uint64_t>(version));
  const server::DType dtype = config.dtype.variable;
  server::Weights weights;
  weights.version = version;
  const server::Shape kernel_shape = server::KernelShape(config, in_channels).value();
  weights.kernel = server::Tensor::Allocate(dtype, kernel_shape).value();
  FillWithRandomBits(random, weights.kernel.mutable_view());
  if (config.use_bias) {
    weights.bias = server::Tensor::Allocate(dtype, server::BiasShape(config)).value();
    FillWithRandomBits(random, weights.bias->mutable_view());
  }
  return weights;
}

inline std::string BitsOf(const server::Tensor& tensor) {
  return {reinterpret_cast<const char*>(tensor.view().data),
          static_cast<size_t>(tensor.size_bytes())};
}

// All that is to be known of weights, to the last bit.
inline std::string Describe(const server::Weights& weights) {
  const auto describe = [](const server::Tensor& tensor) {
    return std::string(NameOf(tensor.dtype())) + ToString(tensor.shape()) + BitsOf(tensor);
  };
  return fmt::format("version {} {} {}", weights.version, describe(weights.kernel),
                     weights.bias.has_value() ? describe(*weights.bias) : "without bias");
}

// The layer that has the name now; id 0 when there is none.
inline server::LayerKey KeyOf(server::LayerStore& store, const std::string& name) {
  const auto index = store.ReadIndex();
  EXPECT_TRUE(index.ok()) << index.status().ToString();
  if (!index.ok()) return {name, 0};
  for (const server::LayerRecord& record : index->layers) {
    if (record.name == name) return record.key();
  }
  for (const server::DamagedLayer& damaged : index->damaged) {
    if (damaged.name == name) return {name, damaged.id};
  }
  return {name, 0};
}

// A store as a value: the weights of every layer, described; "" when not built.
using Contents = std::map<std::string, std::string>;

inline Contents ContentsOf(server::LayerStore& store) {
  Contents contents;
  const auto index = store.ReadIndex();
  EXPECT_TRUE(index.ok()) << index.status().ToString();
  if (!index.ok()) return contents;
  EXPECT_TRUE(index->damaged.empty());
  for (const server::LayerRecord& record : index->layers) {
    std::string& description = contents[record.name];
    if (record.weights_version == 0) continue;
    const auto weights = store.ReadWeights(record.key());
    EXPECT_TRUE(weights.ok()) << weights.status().ToString();
    if (weights.ok()) description = Describe(*weights);
  }
  return contents;
}

inline server::LayerRecord Record(const std::string& name, const server::LayerConfig& config,
                                  int64_t in_channels = 0, int64_t weights_version = 0) {
  return {.name = name,
          .config = config,
          .in_channels = in_channels,
          .weights_version = weights_version};
}

// A layer with weights of `version`.
inline server::StatusOr<int64_t> CreateBuilt(server::LayerStore& store, const std::string& name,
                                             const server::LayerConfig& config,
                                             int64_t in_channels = 2, int64_t version = 1) {
  const server::Weights weights = RandomWeights(config, in_channels, version);
  return store.Create(Record(name, config, in_channels, version), &weights);
}

}  // namespace tconv::testing
