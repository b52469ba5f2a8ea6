// Stores to be tested while something fails, and what can be done to them.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "server/layer/layer_config.h"
#include "server/store/layer_store.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/store/store_test_util.h"

namespace tconv::testing {

// Two layers of a new store: "a", and "b", which is being trained and has made a step.
// Their keys are known without asking the store.
struct TwoLayers {
  server::LayerConfig config;
  int64_t in_channels = 0;

  server::LayerKey a() const { return {"a", 1}; }
  server::LayerKey b() const { return {"b", 2}; }

  void CreateIn(server::LayerStore& store) const {
    EXPECT_THAT(CreateBuilt(store, "a", config, in_channels), IsOk());
    EXPECT_THAT(CreateBuilt(store, "b", config, in_channels), IsOk());
    EXPECT_THAT(PutSettingsOfB(store, 1), IsOk());
    EXPECT_THAT(PutStepOfB(store, 1), IsOk());
  }

  // Weights of `version`, after those before.
  server::Status PutWeightsOfA(server::LayerStore& store, int64_t version) const {
    return store.PutWeights(a(), RandomWeights(config, in_channels, version), version - 1);
  }
  // Settings of `version`, with which the training begins anew.
  server::Status PutSettingsOfB(server::LayerStore& store, int64_t version) const {
    server::LayerRecord settings = Record("b", config);
    settings.id = b().id;
    settings.optimizer = MakeOptimizer({"Adam", {}});
    settings.settings_version = version;
    const server::TrainingState initial;
    return store.PutSettings(settings, &initial, version - 1);
  }
  // Step `iterations` under the first settings.
  server::Status PutStepOfB(server::LayerStore& store, int64_t iterations) const {
    return store.PutStep(b(), RandomWeights(config, in_channels, iterations + 1),
                         RandomTraining(config, in_channels, iterations), {iterations, 1});
  }
};

struct StoreChange {
  const char* name;
  std::function<server::Status(server::LayerStore&)> apply;
};

// Every kind of change. Each can be made of what CreateIn() made, alone and in this
// order.
inline std::vector<StoreChange> ChangesOf(const TwoLayers& layers) {
  using server::LayerStore;
  return {
      {"Create",
       [=](LayerStore& store) {
         return CreateBuilt(store, "new", layers.config, layers.in_channels).status();
       }},
      {"PutWeights", [=](LayerStore& store) { return layers.PutWeightsOfA(store, 2); }},
      {"PutStep", [=](LayerStore& store) { return layers.PutStepOfB(store, 2); }},
      {"PutSettings", [=](LayerStore& store) { return layers.PutSettingsOfB(store, 2); }},
      {"Delete", [](LayerStore& store) { return store.Delete("b"); }},
  };
}

}  // namespace tconv::testing
