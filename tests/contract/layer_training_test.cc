// What every store promises of settings and training: the suite runs over all of
// them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/store/layer_store.h"
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
using testing::DescribeSettings;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::KeyOf;
using testing::LayerConfigBuilder;
using testing::MakeOptimizer;
using testing::RandomTraining;
using testing::RandomWeights;
using testing::Record;
using testing::StatusIs;
using testing::StoreKind;
using testing::WithSettings;

class LayerTrainingTest : public ::testing::TestWithParam<StoreKind> {
 protected:
  LayerTrainingTest() { Open(); }

  void Open() {
    store_.reset();
    store_ = GetParam().open(folder_).value();
  }

  // A layer with weights of version 1 that is ready to be trained.
  LayerRecord CreateTrained(const std::string& name, const LayerConfig& config) {
    EXPECT_THAT(CreateBuilt(*store_, name, config, kInChannels), IsOk());
    const LayerRecord record = WithSettings(Find(name), true, adam_);
    const TrainingState initial;
    EXPECT_THAT(store_->PutSettings(record, &initial, 0), IsOk());
    return record;
  }

  LayerRecord Find(const std::string& name) {
    const LayerIndex index = store_->ReadIndex().value();
    for (const LayerRecord& record : index.layers) {
      if (record.name == name) return record;
    }
    ADD_FAILURE() << "no layer " << name;
    return Record(name, config_);
  }

  // Step `iterations` of a layer whose weights were never set.
  Status PutStep(const LayerRecord& layer, int64_t iterations, const StepBase& expected) {
    return store_->PutStep(layer.key(), RandomWeights(layer.config, kInChannels, iterations + 1),
                           RandomTraining(layer.config, kInChannels, iterations), expected);
  }
  Status PutStep(const LayerRecord& layer, int64_t iterations) {
    return PutStep(layer, iterations, {iterations, layer.settings_version});
  }

  std::string DescribeTraining(const LayerKey& layer) {
    return Describe(store_->ReadTraining(layer).value().state);
  }

  static constexpr int64_t kInChannels = 4;
  const LayerConfig config_ = LayerConfigBuilder().Filters(3).KernelSize({2, 2}).Build();
  const Optimizer adam_ = MakeOptimizer({"Adam", {}});
  testing::TempFolder folder_;
  std::unique_ptr<LayerStore> store_;
};

INSTANTIATE_TEST_SUITE_P(, LayerTrainingTest, ::testing::ValuesIn(testing::AllStoreKinds()),
                         [](const auto& kind) { return kind.param.name; });

TEST_P(LayerTrainingTest, ALayerIsTrainableAsCreatedAndHasNoOptimizer) {
  for (const bool trainable : {true, false}) {
    const std::string name = trainable ? "trainable" : "frozen";
    const LayerConfig config = LayerConfigBuilder().Trainable(trainable).Build();
    ASSERT_THAT(store_->Create(Record(name, config), nullptr), IsOk());
    const LayerRecord record = Find(name);
    EXPECT_EQ(record.config.trainable, trainable);
    EXPECT_EQ(record.optimizer, std::nullopt);
    EXPECT_EQ(record.settings_version, 0);
  }
}

TEST_P(LayerTrainingTest, SettingsReplaceTrainableAndOptimizerAndNothingElse) {
  ASSERT_THAT(CreateBuilt(*store_, "up", config_, kInChannels), IsOk());
  LayerRecord settings = WithSettings(Find("up"), false, adam_);
  settings.config.filters = 77;
  settings.in_channels = 78;
  settings.weights_version = 79;
  ASSERT_THAT(store_->PutSettings(settings, nullptr, 0), IsOk());

  for (const LayerRecord& record :
       {Find("up"), store_->ReadTraining(settings.key()).value().layer}) {
    EXPECT_EQ(DescribeSettings(record), DescribeSettings(settings));
    EXPECT_EQ(record.config.filters, config_.filters);
    EXPECT_EQ(record.in_channels, kInChannels);
    EXPECT_EQ(record.weights_version, 1);
  }
  EXPECT_EQ(Describe(store_->ReadWeights(settings.key()).value()),
            Describe(RandomWeights(config_, kInChannels, 1)));

  settings = WithSettings(Find("up"), true, std::nullopt);
  ASSERT_THAT(store_->PutSettings(settings, nullptr, 1), IsOk());
  EXPECT_EQ(DescribeSettings(Find("up")), DescribeSettings(settings));
}

TEST_P(LayerTrainingTest, EveryOptimizerComesBackWithItsArguments) {
  const ObjectSpec kSpecs[] = {
      {"SGD", {}},
      {"SGD", {{"momentum", 0.9}, {"nesterov", true}, {"clipvalue", 0.1}}},
      {"Adam", {{"learning_rate", 1e-30}, {"amsgrad", true}, {"clipnorm", 3.0}}},
      {"AdamW", {{"weight_decay", 0.125}, {"name", "inner"}}},
      {"RMSprop", {{"centered", true}, {"global_clipnorm", 1.0 / 3.0}}},
  };
  ASSERT_THAT(store_->Create(Record("up", config_), nullptr), IsOk());
  for (const ObjectSpec& spec : kSpecs) {
    const LayerRecord settings = WithSettings(Find("up"), true, MakeOptimizer(spec));
    ASSERT_THAT(store_->PutSettings(settings, nullptr, settings.settings_version - 1), IsOk());
    EXPECT_EQ(Find("up").optimizer, settings.optimizer) << spec.name;
  }
}

TEST_P(LayerTrainingTest, SettingsOnAMovedVersionTellTheStoredOneAndChangeNothing) {
  const LayerRecord layer = CreateTrained("up", config_);
  ASSERT_THAT(PutStep(layer, 1), IsOk());
  const Contents before = ContentsOf(*store_);
  const TrainingState initial;
  EXPECT_THAT(
      store_->PutSettings(WithSettings(layer, false, std::nullopt), &initial, 7),
      StatusIs(StatusCode::kAborted,
               HasSubstr("settings_version: expected 7 (layer \"up\"), the stored one is 1")));
  EXPECT_EQ(ContentsOf(*store_), before);
}

TEST_P(LayerTrainingTest, ALayerThatWasNeverTrainedIsAtItsBeginning) {
  ASSERT_THAT(store_->Create(Record("up", config_), nullptr), IsOk());
  EXPECT_EQ(DescribeTraining(KeyOf(*store_, "up")), Describe(TrainingState()));
}

TEST_P(LayerTrainingTest, WeightsAndStateOfAStepComeBackBitForBit) {
  for (const char* dtype : {"float32", "float64", "float16", "bfloat16", "mixed_float16"}) {
    for (const bool use_bias : {true, false}) {
      const std::string name = std::string(dtype) + (use_bias ? " with bias" : " without bias");
      SCOPED_TRACE(name);
      const LayerConfig config = LayerConfigBuilder().DType(dtype).UseBias(use_bias).Build();
      const LayerRecord layer = CreateTrained(name, config);
      for (const int64_t iterations : {1, 2}) ASSERT_THAT(PutStep(layer, iterations), IsOk());

      EXPECT_EQ(DescribeTraining(layer.key()), Describe(RandomTraining(config, kInChannels, 2)));
      EXPECT_EQ(Describe(store_->ReadWeights(layer.key()).value()),
                Describe(RandomWeights(config, kInChannels, 3)));
      EXPECT_EQ(Find(name).weights_version, 3);
    }
  }
}

TEST_P(LayerTrainingTest, EverySlotIsKeptAsItself) {
  const LayerRecord layer = CreateTrained("up", config_);
  TrainingState state;
  int64_t version = 1;
  for (const OptimizerSlot slot : {OptimizerSlot::kMomentum, OptimizerSlot::kVelocity,
                                   OptimizerSlot::kVelocityHat, OptimizerSlot::kAverageGradient}) {
    Weights random = RandomWeights(config_, kInChannels, ++version);
    state.optimizer.slots[slot] = {std::move(random.kernel), std::move(random.bias)};
  }
  ASSERT_THAT(store_->PutSettings(WithSettings(layer, true, adam_), &state, 1), IsOk());
  EXPECT_EQ(DescribeTraining(layer.key()), Describe(state));
}

TEST_P(LayerTrainingTest, RecordsOfStepsHoldAnyIdAndAnyLoss) {
  const LayerRecord layer = CreateTrained("up", config_);
  TrainingState state;
  for (const std::string& id : {std::string("plain"), std::string("a\0b", 3), std::string("\xff\n"),
                                std::string(10'000, 'x')}) {
    state.AddStep({.step_id = id, .weights_version = 1'000'000'000'000, .iterations = -1});
  }
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  state.AddStep(
      {.step_id = "losses", .loss = std::nan(""), .layer_losses = {kInfinity, 0.1, -0.0}});
  ASSERT_THAT(store_->PutSettings(WithSettings(layer, true, adam_), &state, 1), IsOk());
  EXPECT_EQ(DescribeTraining(layer.key()), Describe(state));
}

TEST_P(LayerTrainingTest, AStepOnMovedVersionsChangesNothing) {
  struct Case {
    StepBase expected;
    const char* message;
  };
  constexpr Case kCases[] = {
      {{1, 1}, "weights_version: expected 1 (layer \"up\"), the stored one is 2"},
      {{3, 1}, "weights_version: expected 3 (layer \"up\"), the stored one is 2"},
      {{2, 0}, "settings_version: expected 0 (layer \"up\"), the stored one is 1"},
      {{2, 2}, "settings_version: expected 2 (layer \"up\"), the stored one is 1"},
  };
  const LayerRecord layer = CreateTrained("up", config_);
  ASSERT_THAT(PutStep(layer, 1), IsOk());
  const Contents before = ContentsOf(*store_);
  for (const Case& c : kCases) {
    EXPECT_THAT(PutStep(layer, 2, c.expected),
                StatusIs(StatusCode::kAborted, HasSubstr(c.message)));
    EXPECT_EQ(ContentsOf(*store_), before);
  }
}

TEST_P(LayerTrainingTest, TheStateOutlivesWeightsAndSettingsThatAreSet) {
  const LayerRecord layer = CreateTrained("up", config_);
  ASSERT_THAT(PutStep(layer, 1), IsOk());
  const std::string state = DescribeTraining(layer.key());

  ASSERT_THAT(store_->PutWeights(layer.key(), RandomWeights(config_, kInChannels, 3), 2), IsOk());
  EXPECT_EQ(DescribeTraining(layer.key()), state);
  EXPECT_EQ(DescribeSettings(Find("up")), DescribeSettings(layer));

  ASSERT_THAT(store_->PutSettings(WithSettings(layer, false, adam_), nullptr, 1), IsOk());
  EXPECT_EQ(DescribeTraining(layer.key()), state);
  EXPECT_EQ(Describe(store_->ReadWeights(layer.key()).value()),
            Describe(RandomWeights(config_, kInChannels, 3)));
}

TEST_P(LayerTrainingTest, SettingsWithAStateBeginAnew) {
  const LayerRecord layer = CreateTrained("up", config_);
  ASSERT_THAT(PutStep(layer, 1), IsOk());
  const TrainingState initial;
  ASSERT_THAT(store_->PutSettings(WithSettings(layer, true, adam_), &initial, 1), IsOk());
  EXPECT_EQ(DescribeTraining(layer.key()), Describe(initial));
}

TEST_P(LayerTrainingTest, ANameThatIsTakenAnewHasNoOldTraining) {
  const LayerRecord old = CreateTrained("up", config_);
  ASSERT_THAT(PutStep(old, 1), IsOk());
  ASSERT_THAT(store_->Delete("up"), IsOk());
  ASSERT_THAT(CreateBuilt(*store_, "up", config_, kInChannels), IsOk());

  EXPECT_EQ(Find("up").optimizer, std::nullopt);
  EXPECT_EQ(DescribeTraining(KeyOf(*store_, "up")), Describe(TrainingState()));
  const auto not_found = StatusIs(StatusCode::kNotFound, HasSubstr("\"up\""));
  EXPECT_THAT(store_->ReadTraining(old.key()), not_found);
  EXPECT_THAT(store_->PutSettings(old, nullptr, 0), not_found);
  EXPECT_THAT(PutStep(old, 1, {1, 0}), not_found);
}

TEST_P(LayerTrainingTest, OfConcurrentTrainersOneMakesEachStepAndNoStateIsMixed) {
  constexpr int kTrainers = 3;
  constexpr int64_t kLast = 30;
  const LayerRecord layer = CreateTrained("up", config_);
  std::atomic<int64_t> wins = 0;
  const auto train = [&] {
    for (int64_t step = 1; step <= kLast; ++step) {
      const Status status = PutStep(layer, step);
      if (status.ok()) ++wins;
      EXPECT_TRUE(status.ok() || status.code() == StatusCode::kAborted) << status.ToString();
    }
  };
  const auto read = [&] {
    int64_t version = 1;
    while (version <= kLast) {
      const StatusOr<StoredTraining> training = store_->ReadTraining(layer.key());
      ASSERT_THAT(training, IsOk());
      ASSERT_GE(training->layer.weights_version, version);
      version = training->layer.weights_version;
      if (version == 1) continue;
      ASSERT_EQ(Describe(training->state),
                Describe(RandomTraining(config_, kInChannels, version - 1)));
    }
  };
  {
    std::vector<std::thread> threads;
    for (int i = 0; i < kTrainers; ++i) threads.emplace_back(train);
    threads.emplace_back(read);
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(wins, kLast);
  EXPECT_EQ(Find("up").weights_version, kLast + 1);
}

TEST_P(LayerTrainingTest, ClosingAndOpeningAgainKeepsTheTrainingThatSurvives) {
  if (!GetParam().survives_closing) return;
  const LayerRecord layer = CreateTrained("up", config_);
  ASSERT_THAT(PutStep(layer, 1), IsOk());
  const Contents before = ContentsOf(*store_);
  Open();
  EXPECT_EQ(ContentsOf(*store_), before);
}

}  // namespace
}  // namespace tconv::server
