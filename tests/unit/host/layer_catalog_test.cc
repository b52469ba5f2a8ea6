// What servers that share a store may rely on when layers are trained.
#include "server/host/layer_catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "server/compute/strategies.h"
#include "server/compute/worker_pool.h"
#include "server/store/memory_store.h"
#include "tests/support/status_matchers.h"
#include "tests/support/store_link.h"
#include "tests/unit/store/store_test_util.h"

namespace tconv::server {
namespace {

using tconv::testing::CreateBuilt;
using tconv::testing::Describe;
using tconv::testing::IsOk;
using tconv::testing::IsOkAndHolds;
using tconv::testing::LayerConfigBuilder;
using tconv::testing::MakeOptimizer;
using tconv::testing::RandomTraining;
using tconv::testing::RandomWeights;
using tconv::testing::StatusIs;
using tconv::testing::StoreLink;
using ::testing::HasSubstr;
using ::testing::Optional;

constexpr int64_t kInChannels = 2;

const LayerConfig& Config() {
  static const LayerConfig config = LayerConfigBuilder().Build();
  return config;
}

std::shared_ptr<Weights> NewWeights(int64_t version) {
  return std::make_shared<Weights>(RandomWeights(Config(), kInChannels, version));
}

// What one server knows of a store.
class Server {
 public:
  explicit Server(LayerStore& store)
      : link_(store), catalog_(LayerCatalog::Open(link_, plans_, int64_t{1} << 20).value()) {}

  StoreLink& link() { return link_; }
  LayerCatalog& catalog() { return *catalog_; }
  std::shared_ptr<Layer> layer() { return catalog_->Find("up").value(); }
  std::shared_ptr<const LayerSettings> settings() { return layer()->settings(); }

  Status SetTrainable(bool trainable) {
    return Change([=](LayerSettings& settings) { settings.config.trainable = trainable; });
  }
  Status SetOptimizer(const Optimizer& optimizer) {
    const auto layer = this->layer();
    const MutexLock lock(layer->change_mutex());
    return catalog_->ChangeOptimizer(*layer, optimizer, {});
  }
  Status Change(const std::function<void(LayerSettings&)>& edit) {
    const auto layer = this->layer();
    const MutexLock lock(layer->change_mutex());
    return catalog_->ChangeSettings(*layer, edit);
  }

  // Makes the step that follows what the store has.
  StatusOr<int64_t> Step() {
    const auto layer = this->layer();
    const MutexLock lock(layer->change_mutex());
    TCONV_ASSIGN_OR_RETURN(const LayerCatalog::Training training, catalog_->ReadTraining(*layer));
    TCONV_RETURN_IF_ERROR(catalog_->WeightsAt(*layer, training.weights_version).status());
    return catalog_->AdvanceStep(
        *layer, NewWeights(training.weights_version + 1),
        RandomTraining(Config(), kInChannels, training.state.optimizer.iterations + 1),
        training.base());
  }

  // Learns all that is in the store.
  void LookAround() {
    // An unknown name cannot be told of without a look.
    EXPECT_THAT(catalog_->Find("nobody"), StatusIs(StatusCode::kNotFound));
  }

 private:
  StoreLink link_;
  const std::unique_ptr<WorkerPool> pool_ = WorkerPool::Make(1).value();
  const std::unique_ptr<const Planner> planner_ =
      Planner::Make(*MakeStrategies(*pool_), "").value();
  PlanCache plans_{*planner_, int64_t{1} << 20};
  const std::unique_ptr<LayerCatalog> catalog_;
};

class LayerCatalogTest : public ::testing::Test {
 protected:
  LayerCatalogTest() { EXPECT_THAT(CreateBuilt(store_, "up", Config(), kInChannels), IsOk()); }

  const Optimizer adam_ = MakeOptimizer({"Adam", {}});
  const Optimizer sgd_ = MakeOptimizer({"SGD", {}});
  MemoryStore store_{int64_t{1} << 24};
  Server a_{store_};
  Server b_{store_};
};

TEST_F(LayerCatalogTest, SettingsAreServedAtOnceAndFollowedWithoutReadingWeights) {
  ASSERT_THAT(a_.SetTrainable(false), IsOk());
  ASSERT_THAT(a_.SetOptimizer(adam_), IsOk());
  b_.LookAround();
  for (Server* server : {&a_, &b_}) {
    EXPECT_FALSE(server->settings()->config.trainable);
    EXPECT_THAT(server->settings()->optimizer, Optional(adam_));
    EXPECT_EQ(server->settings()->version, 2);
    EXPECT_EQ(server->link().reads(), 0);
  }
  Server late(store_);
  EXPECT_THAT(late.settings()->optimizer, Optional(adam_));
}

TEST_F(LayerCatalogTest, WhoeverHoldsSettingsKeepsThemAsTheyAre) {
  const auto before = a_.settings();
  ASSERT_THAT(a_.SetTrainable(false), IsOk());
  EXPECT_TRUE(before->config.trainable);
  EXPECT_FALSE(a_.settings()->config.trainable);
}

TEST_F(LayerCatalogTest, OfChangesThatServersMakeAtOnceNoneUndoesAnother) {
  constexpr int kChanges = 30;
  std::thread other([&] {
    for (int i = 0; i < kChanges; ++i) EXPECT_THAT(b_.SetTrainable(i % 2 == 0), IsOk());
  });
  for (int i = 0; i < kChanges; ++i)
    EXPECT_THAT(a_.SetOptimizer(i % 2 == 0 ? adam_ : sgd_), IsOk());
  other.join();
  a_.LookAround();
  EXPECT_FALSE(a_.settings()->config.trainable);
  EXPECT_THAT(a_.settings()->optimizer, Optional(sgd_));
  EXPECT_EQ(a_.settings()->version, 2 * kChanges);
}

TEST_F(LayerCatalogTest, SettingsThatCannotBeStoredAreNotServed) {
  a_.LookAround();
  a_.link().Cut();
  EXPECT_THAT(a_.SetTrainable(false), StatusIs(StatusCode::kUnavailable));
  EXPECT_TRUE(a_.settings()->config.trainable);
}

TEST_F(LayerCatalogTest, AStepIsServedAndTheNextGoesOnFromItOnAnyServer) {
  ASSERT_THAT(a_.SetOptimizer(adam_), IsOk());
  for (int64_t version = 2; version <= 9; ++version) {
    Server& server = version % 3 == 0 ? b_ : a_;
    ASSERT_THAT(server.Step(), IsOkAndHolds(version));
    EXPECT_EQ(server.layer()->snapshot().weights_version, version);
    const auto training = server.catalog().ReadTraining(*server.layer());
    ASSERT_THAT(training, IsOk());
    EXPECT_EQ(Describe(training->state),
              Describe(RandomTraining(Config(), kInChannels, version - 1)));
    EXPECT_EQ(training->weights_version, version);
    EXPECT_THAT(training->settings->optimizer, Optional(adam_));
  }
}

TEST_F(LayerCatalogTest, OneServerThatTrainsReadsNoWeightsAfterTheFirst) {
  for (int i = 0; i < 5; ++i) ASSERT_THAT(a_.Step(), IsOk());
  EXPECT_EQ(a_.link().reads(), 1);
}

TEST_F(LayerCatalogTest, AStepOnWhatIsNoLongerSoIsAborted) {
  const auto layer = a_.layer();
  const auto step = [&](const StepBase& base) {
    const MutexLock lock(layer->change_mutex());
    return a_.catalog().AdvanceStep(*layer, NewWeights(2), RandomTraining(Config(), kInChannels, 1),
                                    base);
  };
  ASSERT_THAT(b_.SetTrainable(false), IsOk());
  EXPECT_THAT(step({1, 0}), StatusIs(StatusCode::kAborted, HasSubstr("settings_version")));
  ASSERT_THAT(b_.Step(), IsOk());
  EXPECT_THAT(step({1, 1}), StatusIs(StatusCode::kAborted, HasSubstr("weights_version")));
  EXPECT_THAT(step({2, 1}), IsOkAndHolds(3));
}

TEST_F(LayerCatalogTest, WeightsThatAreNotTheOnesAskedForAreNotHandedOut) {
  const auto layer = a_.layer();
  const MutexLock lock(layer->change_mutex());
  EXPECT_THAT(a_.catalog().WeightsAt(*layer, 1), IsOk());
  ASSERT_THAT(b_.Step(), IsOk());
  const auto weights = a_.catalog().WeightsAt(*layer, 2);
  ASSERT_THAT(weights, IsOk());
  EXPECT_EQ(Describe(**weights), Describe(RandomWeights(Config(), kInChannels, 2)));
  EXPECT_THAT(a_.catalog().WeightsAt(*layer, 1), StatusIs(StatusCode::kAborted));
}

TEST_F(LayerCatalogTest, ALayerThatOthersDeletedIsNotTrained) {
  const auto layer = a_.layer();
  ASSERT_THAT(b_.catalog().Delete("up"), IsOk());
  EXPECT_THAT(a_.catalog().ReadTraining(*layer), StatusIs(StatusCode::kNotFound));
  ASSERT_THAT(CreateBuilt(store_, "up", Config(), kInChannels), IsOk());
  const MutexLock lock(layer->change_mutex());
  EXPECT_THAT(a_.catalog().ReadTraining(*layer), StatusIs(StatusCode::kAborted));
  EXPECT_THAT(a_.catalog().ChangeSettings(*layer, [](LayerSettings&) {}),
              StatusIs(StatusCode::kAborted, HasSubstr("created anew")));
}

}  // namespace
}  // namespace tconv::server
