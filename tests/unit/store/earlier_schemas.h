// What the files of tests/data hold that earlier releases have written, each in its
// schema: store_schema_*.db and postgres_schema_*.sql.
#pragma once

#include <algorithm>
#include <cstdint>

#include "server/store/layer_store.h"
#include "tests/support/layer_config_builder.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/store/store_test_util.h"

namespace tconv::testing {

inline Contents ContentsOfEarlierSchema() {
  const server::LayerConfig wide = LayerConfigBuilder()
                                       .Name("inner")
                                       .Filters(16)
                                       .KernelSize({3, 3})
                                       .Strides({2, 2})
                                       .Same()
                                       .Activation({"leaky_relu", {{"negative_slope", 0.125}}})
                                       .Build();
  const server::LayerConfig halves =
      LayerConfigBuilder().DType("float16").Filters(3).KernelSize({4}).UseBias(false).Build();
  return {{"wide", Describe(RandomWeights(wide, 8, 2))},
          {"halves", Describe(RandomWeights(halves, 5, 7))},
          {"not built", ""}};
}

// The same, and a layer that was trained, of a schema that knows of training.
inline Contents ContentsOfTrainedSchema() {
  const server::LayerConfig halves =
      LayerConfigBuilder().DType("float16").Filters(3).KernelSize({4}).UseBias(false).Build();
  server::LayerRecord trained =
      WithSettings(Record("trained", halves), false, MakeOptimizer({"Adam", {}}));
  Contents contents = ContentsOfEarlierSchema();
  contents["trained"] =
      fmt::format("{} {} {}", Describe(RandomWeights(halves, 5, 2)), DescribeSettings(trained),
                  Describe(RandomTraining(halves, 5, 1)));
  return contents;
}

// A layer of the store stays as long as a chain has it.
inline void ExpectChainsWork(server::LayerStore& store, const server::LayerKey& layer) {
  ASSERT_THAT(store.CreateChain(ChainOf("chain", {layer})), IsOk());
  EXPECT_EQ(store.ReadIndex()->chains.size(), 1u);
  EXPECT_THAT(store.Delete(layer.name), StatusIs(server::StatusCode::kFailedPrecondition));
  ASSERT_THAT(store.DeleteChain("chain"), IsOk());
}

// A store that was upgraded has all that it had, and works.
inline void ExpectUpgraded(server::LayerStore& store, const Contents& contents) {
  EXPECT_EQ(ContentsOf(store), contents);
  const auto index = store.ReadIndex();
  ASSERT_TRUE(index.ok());
  int64_t greatest = 0;
  for (const server::LayerRecord& record : index->layers) {
    ExpectChainsWork(store, record.key());
    if (record.settings_version != 0) continue;
    EXPECT_EQ(DescribeSettings(record), "settings 0 trainable without optimizer");
    const server::TrainingState trained = RandomTraining(record.config, 5, 1);
    ASSERT_THAT(
        store.PutSettings(WithSettings(record, false, MakeOptimizer({"Adam", {}})), &trained, 0),
        IsOk());
    EXPECT_EQ(Describe(store.ReadTraining(record.key()).value().state), Describe(trained));
  }
  for (const server::LayerRecord& record : index->layers) {
    greatest = std::max(greatest, record.id);
    ASSERT_THAT(store.Delete(record.name), IsOk());
  }
  const auto id = CreateBuilt(store, "wide", index->layers.front().config);
  ASSERT_THAT(id, IsOk());
  EXPECT_GT(*id, greatest);
  EXPECT_THAT(store.PutWeights({"wide", *id}, RandomWeights(index->layers.front().config, 2, 2), 1),
              IsOk());
}

}  // namespace tconv::testing
