// What the tests of the stores have in common: weights, and whole stores as
// values that can be compared.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "server/layer/layer_config.h"
#include "server/layer/optimizer.h"
#include "server/layer/weights.h"
#include "server/store/layer_store.h"
#include "server/wire/object_codec.h"
#include "server/wire/optimizer_codec.h"
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

inline server::Optimizer MakeOptimizer(const server::ObjectSpec& spec) {
  return server::Optimizer::Make(spec).value();
}

// What Adam could know after so many steps, the last of which is in the record. Equal
// arguments make equal states.
inline server::TrainingState RandomTraining(const server::LayerConfig& config, int64_t in_channels,
                                            int64_t iterations) {
  using server::OptimizerSlot;
  server::TrainingState state;
  state.optimizer.iterations = iterations;
  uint64_t seed = 100;
  for (const OptimizerSlot slot : {OptimizerSlot::kMomentum, OptimizerSlot::kVelocity}) {
    server::Weights random = RandomWeights(config, in_channels, iterations, ++seed);
    state.optimizer.slots[slot] = {std::move(random.kernel), std::move(random.bias)};
  }
  state.AddStep({.step_id = fmt::format("step {}", iterations),
                 .weights_version = iterations + 1,
                 .iterations = iterations,
                 .loss = 1.0 / static_cast<double>(iterations),
                 .layer_losses = {0.5, 0.25}});
  return state;
}

inline std::string BitsOf(const server::Tensor& tensor) {
  return {reinterpret_cast<const char*>(tensor.view().data),
          static_cast<size_t>(tensor.size_bytes())};
}

inline std::string Describe(const server::Tensor& kernel,
                            const std::optional<server::Tensor>& bias) {
  const auto describe = [](const server::Tensor& tensor) {
    return std::string(NameOf(tensor.dtype())) + ToString(tensor.shape()) + BitsOf(tensor);
  };
  return fmt::format("{} {}", describe(kernel),
                     bias.has_value() ? describe(*bias) : "without bias");
}

// All that is to be known of weights, to the last bit.
inline std::string Describe(const server::Weights& weights) {
  return fmt::format("version {} {}", weights.version, Describe(weights.kernel, weights.bias));
}

// Likewise.
inline std::string Describe(const server::TrainingState& state) {
  std::string text = fmt::format("iterations {}", state.optimizer.iterations);
  for (const auto& [slot, tensors] : state.optimizer.slots) {
    text += fmt::format(" {}: {}", NameOf(slot), Describe(tensors.kernel, tensors.bias));
  }
  for (const server::StepRecord& step : state.steps) {
    text += fmt::format(" step \"{}\" {} {} {} [{}]", step.step_id, step.weights_version,
                        step.iterations, step.loss.has_value() ? fmt::to_string(*step.loss) : "-",
                        fmt::join(step.layer_losses, " "));
  }
  return text;
}

inline std::string DescribeSettings(const server::LayerRecord& record) {
  return fmt::format("settings {} {} {}", record.settings_version,
                     record.config.trainable ? "trainable" : "frozen",
                     record.optimizer.has_value()
                         ? server::ToProto(*record.optimizer).ShortDebugString()
                         : "without optimizer");
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

// A chain of layers of the store.
inline server::ChainRecord ChainOf(const std::string& name,
                                   const std::vector<server::LayerKey>& layers) {
  return {.name = name, .steps = {layers.begin(), layers.end()}};
}

// All but the ids, which each store gives in its own way.
inline std::string Describe(const server::ChainRecord& chain) {
  std::string text = "chain of";
  for (const server::ChainStep& step : chain.steps) {
    if (const auto* layer = std::get_if<server::LayerKey>(&step)) {
      text += " " + layer->name;
    } else {
      v1::KerasObject activation;
      server::ToProto(std::get<server::Activation>(step).spec(), &activation);
      text += " " + activation.ShortDebugString();
    }
  }
  return text;
}

// A store as a value: every chain, and every layer with its weights, unless it is not
// built, and its settings and training, unless they are as created.
using Contents = std::map<std::string, std::string>;

inline std::string Describe(server::LayerStore& store, const server::LayerRecord& record) {
  std::string text;
  if (record.weights_version != 0) {
    const auto weights = store.ReadWeights(record.key());
    EXPECT_TRUE(weights.ok()) << weights.status().ToString();
    if (weights.ok()) text = Describe(*weights);
  }
  if (record.settings_version == 0) return text;
  const auto training = store.ReadTraining(record.key());
  EXPECT_TRUE(training.ok()) << training.status().ToString();
  if (!training.ok()) return text;
  return fmt::format("{} {} {}", text, DescribeSettings(record), Describe(training->state));
}

inline Contents ContentsOf(server::LayerStore& store) {
  Contents contents;
  const auto index = store.ReadIndex();
  EXPECT_TRUE(index.ok()) << index.status().ToString();
  if (!index.ok()) return contents;
  EXPECT_TRUE(index->damaged.empty());
  for (const server::LayerRecord& record : index->layers) {
    contents[record.name] = Describe(store, record);
  }
  for (const server::ChainRecord& chain : index->chains) contents[chain.name] = Describe(chain);
  return contents;
}

inline server::LayerRecord Record(const std::string& name, const server::LayerConfig& config,
                                  int64_t in_channels = 0, int64_t weights_version = 0) {
  return {.name = name,
          .config = config,
          .in_channels = in_channels,
          .weights_version = weights_version};
}

// The same layer, as the next version with `trainable` and the optimizer.
inline server::LayerRecord WithSettings(server::LayerRecord record, bool trainable,
                                        std::optional<server::Optimizer> optimizer) {
  record.config.trainable = trainable;
  record.optimizer = std::move(optimizer);
  ++record.settings_version;
  return record;
}

// A layer with weights of `version`.
inline server::StatusOr<int64_t> CreateBuilt(server::LayerStore& store, const std::string& name,
                                             const server::LayerConfig& config,
                                             int64_t in_channels = 2, int64_t version = 1) {
  const server::Weights weights = RandomWeights(config, in_channels, version);
  return store.Create(Record(name, config, in_channels, version), &weights);
}

}  // namespace tconv::testing
