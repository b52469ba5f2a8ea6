// What every store promises: the suite runs over all of them.
#include "server/store/layer_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/wire/layer_codec.h"
#include "tests/contract/store_kinds.h"
#include "tests/support/layer_config_builder.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/store/store_test_util.h"

namespace tconv::server {
namespace {

using testing::Contents;
using testing::ContentsOf;
using testing::CreateBuilt;
using testing::Describe;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::KeyOf;
using testing::LayerConfigBuilder;
using ::testing::Pair;
using testing::RandomWeights;
using testing::Record;
using testing::StatusIs;
using testing::StoreKind;

class LayerStoreTest : public ::testing::TestWithParam<StoreKind> {
 protected:
  LayerStoreTest() { Open(); }

  void Open() {
    store_.reset();
    auto store = GetParam().open(folder_);
    ASSERT_THAT(store, IsOk());
    store_ = *std::move(store);
  }

  LayerKey Key(const std::string& name) { return KeyOf(*store_, name); }

  LayerRecord OnlyRecord() {
    const StatusOr<LayerIndex> index = store_->ReadIndex();
    EXPECT_THAT(index, IsOk());
    EXPECT_EQ(index->layers.size(), 1u);
    return index->layers.at(0);
  }

  const LayerConfig config_ = LayerConfigBuilder().Filters(3).KernelSize({2, 2}).Build();
  testing::TempFolder folder_;
  std::unique_ptr<LayerStore> store_;
};

INSTANTIATE_TEST_SUITE_P(, LayerStoreTest, ::testing::ValuesIn(testing::AllStoreKinds()),
                         [](const auto& kind) { return kind.param.name; });

TEST_P(LayerStoreTest, ANewStoreIsEmpty) { EXPECT_THAT(ContentsOf(*store_), IsEmpty()); }

TEST_P(LayerStoreTest, ALayerThatIsNotBuiltHasARecordAndNoWeights) {
  ASSERT_THAT(store_->Create(Record("up", config_), nullptr), IsOk());

  const LayerRecord record = OnlyRecord();
  EXPECT_EQ(record.name, "up");
  EXPECT_EQ(record.in_channels, 0);
  EXPECT_EQ(record.weights_version, 0);
  EXPECT_THAT(store_->ReadWeights(Key("up")), StatusIs(StatusCode::kNotFound, HasSubstr("\"up\"")));
}

TEST_P(LayerStoreTest, EveryArgumentOfTheConfigComesBack) {
  const LayerConfig config = LayerConfigBuilder()
                                 .Name("inner")
                                 .Trainable(false)
                                 .DType("mixed_bfloat16")
                                 .Filters(5)
                                 .KernelSize({4, 3, 2})
                                 .Strides({3, 2, 2})
                                 .Same()
                                 .OutputPadding(SpatialDims{1, 0, 1})
                                 .ChannelsFirst()
                                 .Activation({"leaky_relu", {{"negative_slope", 0.125}}})
                                 .KernelInitializer({"HeNormal", {{"seed", 7.0}}})
                                 .KernelRegularizer({"L1L2", {{"l1", 0.5}, {"l2", 0.25}}})
                                 .ActivityRegularizer({"L2", {{"l2", 0.75}}})
                                 .KernelConstraint({"MaxNorm", {{"max_value", 3.0}}})
                                 .BiasConstraint({"NonNeg", {}})
                                 .Build();
  ASSERT_THAT(store_->Create(Record("up", config), nullptr), IsOk());

  EXPECT_EQ(ToProto(OnlyRecord().config).DebugString(), ToProto(config).DebugString());
}

TEST_P(LayerStoreTest, WeightsOfEveryTypeComeBackBitForBit) {
  for (const char* dtype : {"float32", "float64", "float16", "bfloat16", "mixed_float16"}) {
    SCOPED_TRACE(dtype);
    const LayerConfig config =
        LayerConfigBuilder().DType(dtype).Filters(3).KernelSize({5, 7}).Build();
    const Weights weights = RandomWeights(config, 4, 9);
    ASSERT_THAT(store_->Create(Record(dtype, config, 4, 9), &weights), IsOk());

    const StatusOr<Weights> read = store_->ReadWeights(Key(dtype));
    ASSERT_THAT(read, IsOk());
    EXPECT_EQ(Describe(*read), Describe(weights));
  }
}

TEST_P(LayerStoreTest, LayersWithoutBiasStayWithoutBias) {
  const LayerConfig config = LayerConfigBuilder().UseBias(false).Build();
  ASSERT_THAT(CreateBuilt(*store_, "up", config), IsOk());

  const StatusOr<Weights> read = store_->ReadWeights(Key("up"));
  ASSERT_THAT(read, IsOk());
  EXPECT_FALSE(read->bias.has_value());
}

TEST_P(LayerStoreTest, ANameIsTakenOnce) {
  ASSERT_THAT(CreateBuilt(*store_, "up", config_), IsOk());
  const Contents before = ContentsOf(*store_);

  EXPECT_THAT(CreateBuilt(*store_, "up", config_, 2, 5),
              StatusIs(StatusCode::kAlreadyExists, HasSubstr("\"up\"")));
  EXPECT_EQ(ContentsOf(*store_), before);
}

TEST_P(LayerStoreTest, WhatDoesNotExistIsNotFound) {
  const Weights weights = RandomWeights(config_, 2, 1);
  const auto not_found = StatusIs(StatusCode::kNotFound, HasSubstr("\"nobody\""));
  EXPECT_THAT(store_->PutWeights({"nobody", 1}, weights, 0), not_found);
  EXPECT_THAT(store_->ReadWeights({"nobody", 1}), not_found);
  EXPECT_THAT(store_->Delete("nobody"), not_found);
  EXPECT_THAT(ContentsOf(*store_), IsEmpty());
}

TEST_P(LayerStoreTest, PutWeightsBuildsALayer) {
  ASSERT_THAT(store_->Create(Record("up", config_), nullptr), IsOk());
  const Weights weights = RandomWeights(config_, 6, 1);
  ASSERT_THAT(store_->PutWeights(Key("up"), weights, 0), IsOk());

  EXPECT_EQ(OnlyRecord().in_channels, 6);
  EXPECT_EQ(OnlyRecord().weights_version, 1);
  EXPECT_THAT(ContentsOf(*store_), ElementsAre(Pair("up", Describe(weights))));
}

TEST_P(LayerStoreTest, PutWeightsReplacesTheWeights) {
  ASSERT_THAT(CreateBuilt(*store_, "up", config_), IsOk());
  const Weights weights = RandomWeights(config_, 2, 2);
  ASSERT_THAT(store_->PutWeights(Key("up"), weights, 1), IsOk());

  EXPECT_THAT(ContentsOf(*store_), ElementsAre(Pair("up", Describe(weights))));
}

TEST_P(LayerStoreTest, PutWeightsOnAMovedVersionTellsTheStoredOneAndChangesNothing) {
  ASSERT_THAT(CreateBuilt(*store_, "up", config_, 2, 41), IsOk());
  const Contents before = ContentsOf(*store_);

  EXPECT_THAT(store_->PutWeights(Key("up"), RandomWeights(config_, 2, 8), 7),
              StatusIs(StatusCode::kAborted, HasSubstr("expected 7 (layer \"up\"), the stored one "
                                                       "is 41")));
  EXPECT_EQ(ContentsOf(*store_), before);
}

TEST_P(LayerStoreTest, ADeletedNameCanBeTakenAnewAndHasNoOldWeights) {
  ASSERT_THAT(CreateBuilt(*store_, "up", config_), IsOk());
  ASSERT_THAT(CreateBuilt(*store_, "other", config_, 3), IsOk());
  ASSERT_THAT(store_->Delete("up"), IsOk());
  EXPECT_THAT(store_->ReadWeights(Key("up")), StatusIs(StatusCode::kNotFound));

  ASSERT_THAT(store_->Create(Record("up", config_), nullptr), IsOk());
  EXPECT_THAT(ContentsOf(*store_), ElementsAre(Pair("other", ::testing::Not("")), Pair("up", "")));
}

TEST_P(LayerStoreTest, ANameThatIsTakenAnewIsAnotherLayer) {
  const StatusOr<int64_t> first = CreateBuilt(*store_, "up", config_);
  ASSERT_THAT(first, IsOk());
  ASSERT_THAT(store_->Delete("up"), IsOk());
  const StatusOr<int64_t> second = CreateBuilt(*store_, "up", config_);
  ASSERT_THAT(second, IsOk());
  const Contents before = ContentsOf(*store_);

  EXPECT_GT(*second, *first);
  EXPECT_EQ(OnlyRecord().key(), (LayerKey{"up", *second}));
  EXPECT_THAT(store_->ReadWeights({"up", *first}), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(store_->PutWeights({"up", *first}, RandomWeights(config_, 2, 2), 1),
              StatusIs(StatusCode::kNotFound));
  EXPECT_EQ(ContentsOf(*store_), before);
}

TEST_P(LayerStoreTest, IdsGrowAlsoAfterTheLayersWereDeletedAndTheStoreClosed) {
  if (!GetParam().survives_closing) return;
  int64_t last = 0;
  for (int round = 0; round < 4; ++round) {
    const StatusOr<int64_t> id = store_->Create(Record("up", config_), nullptr);
    ASSERT_THAT(id, IsOk());
    EXPECT_GT(*id, last);
    last = *id;
    ASSERT_THAT(store_->Delete("up"), IsOk());
    Open();
  }
}

TEST_P(LayerStoreTest, NamesAreAnyText) {
  const std::vector<std::string> names = {"",
                                          " ",
                                          "a/b",
                                          "%_*?",
                                          "'; DROP TABLE layer",
                                          "\"quoted\"",
                                          "ümläut 层",
                                          "\n\t",
                                          "..",
                                          std::string("a\0b", 3),
                                          "a",
                                          std::string(100'000, 'x')};
  Contents expected;
  for (const std::string& name : names) {
    const Weights weights = RandomWeights(config_, 2, 1, name.size());
    ASSERT_THAT(store_->Create(Record(name, config_, 2, 1), &weights), IsOk());
    expected[name] = Describe(weights);
  }
  EXPECT_EQ(ContentsOf(*store_), expected);
}

TEST_P(LayerStoreTest, TheIndexIsInTheOrderOfTheNames) {
  std::vector<std::string> names;
  for (int i = 0; i < 200; ++i) names.push_back("layer_" + std::to_string(i * 7919 % 200));
  names.insert(names.end(), {"Upper", "lower", "ä"});
  for (const std::string& name : names) {
    ASSERT_THAT(store_->Create(Record(name, config_), nullptr), IsOk());
  }

  std::sort(names.begin(), names.end());
  const StatusOr<LayerIndex> index = store_->ReadIndex();
  ASSERT_THAT(index, IsOk());
  std::vector<std::string> listed;
  for (const LayerRecord& record : index->layers) listed.push_back(record.name);
  EXPECT_EQ(listed, names);
}

TEST_P(LayerStoreTest, OfConcurrentWritersExactlyOneWinsEachVersion) {
  constexpr int kWriters = 4;
  constexpr int kLastVersion = 40;
  ASSERT_THAT(CreateBuilt(*store_, "up", config_), IsOk());
  std::atomic<int> wins = 0;
  const auto write = [&] {
    for (int version = 2; version <= kLastVersion; ++version) {
      const Status status =
          store_->PutWeights(Key("up"), RandomWeights(config_, 2, version), version - 1);
      if (status.ok()) ++wins;
      EXPECT_TRUE(status.ok() || status.code() == StatusCode::kAborted) << status.ToString();
    }
  };
  const auto read = [&] {
    int64_t version = 0;
    while (version < kLastVersion) {
      const StatusOr<Weights> weights = store_->ReadWeights(Key("up"));
      ASSERT_THAT(weights, IsOk());
      ASSERT_GE(weights->version, version);
      version = weights->version;
      ASSERT_EQ(Describe(*weights), Describe(RandomWeights(config_, 2, version)));
    }
  };
  {
    // The reader ends after the last version, which only the writers bring.
    std::vector<std::thread> threads;
    for (int i = 0; i < kWriters; ++i) threads.emplace_back(write);
    threads.emplace_back(read);
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(wins, kLastVersion - 1);
  EXPECT_EQ(OnlyRecord().weights_version, kLastVersion);
}

TEST_P(LayerStoreTest, ClosingAndOpeningAgainKeepsEverythingThatSurvives) {
  ASSERT_THAT(CreateBuilt(*store_, "built", config_), IsOk());
  ASSERT_THAT(store_->Create(Record("unbuilt", config_), nullptr), IsOk());
  const Contents before = ContentsOf(*store_);

  Open();
  EXPECT_EQ(ContentsOf(*store_), GetParam().survives_closing ? before : Contents());
}

}  // namespace
}  // namespace tconv::server
