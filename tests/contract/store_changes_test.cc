// What every store that servers share tells of changes: the suite runs over all
// of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/store/layer_store.h"
#include "server/store/open_store.h"
#include "tests/support/layer_config_builder.h"
#include "tests/support/postgres_server.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/store/store_test_util.h"

namespace tconv::server {
namespace {

using std::chrono::milliseconds;
using testing::CreateBuilt;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::KeyOf;
using testing::LayerConfigBuilder;
using ::testing::Optional;
using testing::RandomWeights;
using testing::Record;

constexpr milliseconds kAtOnce{0};
// Longer than any test; a change has to end the waiting.
constexpr milliseconds kForEver = std::chrono::minutes(10);

std::string NewAddress(const std::string& kind) {
  if (kind == "Memory") return "memory:";
  static testing::PostgresServer server;
  return server.NewDatabase();
}

std::vector<std::string> NamesOf(const LayerIndex& index) {
  std::vector<std::string> names;
  for (const LayerRecord& record : index.layers) names.push_back(record.name);
  return names;
}

class StoreChangesTest : public ::testing::TestWithParam<const char*> {
 protected:
  StoreChangesTest() : store_(OpenStore(NewAddress(GetParam())).value()) {}

  std::unique_ptr<ChangeFeed> Follow() {
    return store_->Follow(store_->ReadIndex().value().revision);
  }

  const LayerConfig config_ = LayerConfigBuilder().Filters(3).Build();
  const std::unique_ptr<LayerStore> store_;
};

INSTANTIATE_TEST_SUITE_P(, StoreChangesTest, ::testing::Values("Memory", "Postgres"),
                         [](const auto& kind) { return std::string(kind.param); });

TEST_P(StoreChangesTest, WithoutChangesThereIsNothingToTell) {
  ASSERT_THAT(CreateBuilt(*store_, "up", config_), IsOk());
  const int64_t revision = store_->ReadIndex()->revision;
  const auto feed = store_->Follow(revision);
  for (int i = 0; i < 3; ++i) {
    const StatusOr<StoreChanges> changes = feed->Next(kAtOnce);
    ASSERT_THAT(changes, IsOk());
    EXPECT_EQ(changes->revision, revision);
    EXPECT_THAT(NamesOf(changes->changed), IsEmpty());
    EXPECT_FALSE(changes->living.has_value());
  }
}

TEST_P(StoreChangesTest, LayersThatWereCreatedOrChangedAreToldAsTheyAre) {
  ASSERT_THAT(CreateBuilt(*store_, "old", config_), IsOk());
  ASSERT_THAT(CreateBuilt(*store_, "untouched", config_), IsOk());
  const auto feed = Follow();
  const StatusOr<int64_t> id = store_->Create(Record("new", config_), nullptr);
  ASSERT_THAT(id, IsOk());
  for (int64_t version : {2, 3}) {
    ASSERT_THAT(
        store_->PutWeights(KeyOf(*store_, "old"), RandomWeights(config_, 5, version), version - 1),
        IsOk());
  }

  const StatusOr<StoreChanges> changes = feed->Next(kForEver);
  ASSERT_THAT(changes, IsOk());
  ASSERT_THAT(NamesOf(changes->changed), ElementsAre("new", "old"));
  EXPECT_EQ(changes->changed.layers[0].id, *id);
  EXPECT_EQ(changes->changed.layers[1].weights_version, 3);
  EXPECT_EQ(changes->changed.layers[1].in_channels, 5);
  EXPECT_FALSE(changes->living.has_value());
  EXPECT_EQ(changes->revision, store_->ReadIndex()->revision);
  EXPECT_THAT(NamesOf(feed->Next(kAtOnce)->changed), IsEmpty());
}

TEST_P(StoreChangesTest, NewSettingsAndStepsAreTold) {
  ASSERT_THAT(CreateBuilt(*store_, "up", config_), IsOk());
  const auto feed = Follow();
  LayerRecord settings = store_->ReadIndex()->layers.at(0);
  settings = testing::WithSettings(settings, false, testing::MakeOptimizer({"SGD", {}}));
  ASSERT_THAT(store_->PutSettings(settings, nullptr, 0), IsOk());
  StatusOr<StoreChanges> changes = feed->Next(kForEver);
  ASSERT_THAT(changes, IsOk());
  ASSERT_THAT(NamesOf(changes->changed), ElementsAre("up"));
  EXPECT_EQ(changes->changed.layers[0].settings_version, 1);
  EXPECT_FALSE(changes->changed.layers[0].config.trainable);
  EXPECT_EQ(changes->changed.layers[0].optimizer, settings.optimizer);

  ASSERT_THAT(store_->PutStep(settings.key(), RandomWeights(config_, 2, 2), TrainingState(),
                              settings.base()),
              IsOk());
  changes = feed->Next(kForEver);
  ASSERT_THAT(changes, IsOk());
  ASSERT_THAT(NamesOf(changes->changed), ElementsAre("up"));
  EXPECT_EQ(changes->changed.layers[0].weights_version, 2);
}

TEST_P(StoreChangesTest, AfterADeletionTheLivingLayersAreTold) {
  const StatusOr<int64_t> kept = CreateBuilt(*store_, "kept", config_);
  ASSERT_THAT(CreateBuilt(*store_, "gone", config_), IsOk());
  ASSERT_THAT(CreateBuilt(*store_, "anew", config_), IsOk());
  const auto feed = Follow();
  ASSERT_THAT(store_->Delete("gone"), IsOk());
  ASSERT_THAT(store_->Delete("anew"), IsOk());
  const StatusOr<int64_t> anew = CreateBuilt(*store_, "anew", config_);

  const StatusOr<StoreChanges> changes = feed->Next(kForEver);
  ASSERT_THAT(changes, IsOk());
  EXPECT_THAT(NamesOf(changes->changed), ElementsAre("anew"));
  EXPECT_THAT(changes->living, Optional(ElementsAre(*kept, *anew)));
  EXPECT_FALSE(feed->Next(kAtOnce)->living.has_value());
}

TEST_P(StoreChangesTest, EveryFeedHearsOfEveryChange) {
  const auto one = Follow();
  const auto other = Follow();
  ASSERT_THAT(CreateBuilt(*store_, "up", config_), IsOk());
  EXPECT_THAT(NamesOf(one->Next(kForEver)->changed), ElementsAre("up"));
  EXPECT_THAT(NamesOf(other->Next(kForEver)->changed), ElementsAre("up"));
}

TEST_P(StoreChangesTest, AChangeEndsTheWaiting) {
  const auto feed = Follow();
  ASSERT_THAT(feed->Next(kAtOnce), IsOk());  // it listens by now
  auto told = std::async(std::launch::async, [&] { return feed->Next(kForEver); });
  ASSERT_THAT(CreateBuilt(*store_, "up", config_), IsOk());
  EXPECT_THAT(NamesOf(told.get()->changed), ElementsAre("up"));
}

TEST_P(StoreChangesTest, AnInterruptEndsTheWaitingNowOrNextTime) {
  const auto feed = Follow();
  feed->Interrupt();
  EXPECT_THAT(NamesOf(feed->Next(kForEver)->changed), IsEmpty());

  auto told = std::async(std::launch::async, [&] { return feed->Next(kForEver); });
  feed->Interrupt();
  EXPECT_THAT(NamesOf(told.get()->changed), IsEmpty());
}

// A server's picture of the store, made of what it is told alone.
class Picture {
 public:
  void Apply(const StoreChanges& changes) {
    ASSERT_GE(changes.revision, revision_);
    revision_ = changes.revision;
    for (const LayerRecord& record : changes.changed.layers) {
      versions_[record.id] = record.weights_version;
    }
    if (!changes.living.has_value()) return;
    std::erase_if(versions_, [&](const auto& layer) {
      return !std::ranges::binary_search(*changes.living, layer.first);
    });
  }

  int64_t revision() const { return revision_; }
  const std::map<int64_t, int64_t>& versions() const { return versions_; }

 private:
  int64_t revision_ = 0;
  std::map<int64_t, int64_t> versions_;  // by id
};

TEST_P(StoreChangesTest, OfManyWritersAtOnceNoChangeIsMissed) {
  constexpr int kRounds = 15;
  constexpr int64_t kChanges = 3 * (4 * kRounds - 1);
  const auto write = [this](const std::string& name) {
    for (int round = 0; round < kRounds; ++round) {
      ASSERT_THAT(store_->Create(Record(name, config_), nullptr), IsOk());
      const LayerKey key = KeyOf(*store_, name);
      for (int64_t version : {1, 2}) {
        ASSERT_THAT(store_->PutWeights(key, RandomWeights(config_, 2, version), version - 1),
                    IsOk());
      }
      if (round == kRounds - 1) break;
      ASSERT_THAT(store_->Delete(name), IsOk());
    }
  };
  std::vector<std::thread> writers;
  for (const char* name : {"a", "b", "c"}) writers.emplace_back(write, name);

  const auto feed = store_->Follow(0);
  Picture picture;
  while (picture.revision() < kChanges) {
    const StatusOr<StoreChanges> changes = feed->Next(kForEver);
    ASSERT_THAT(changes, IsOk());
    picture.Apply(*changes);
  }
  for (std::thread& writer : writers) writer.join();

  std::map<int64_t, int64_t> expected;
  const StatusOr<LayerIndex> index = store_->ReadIndex();
  ASSERT_THAT(index, IsOk());
  for (const LayerRecord& record : index->layers) {
    expected[record.id] = record.weights_version;
  }
  EXPECT_EQ(picture.versions(), expected);
  EXPECT_EQ(expected.size(), 3u);
}

TEST_P(StoreChangesTest, ChainsThatComeAndGoAreTold) {
  ASSERT_THAT(CreateBuilt(*store_, "up", config_), IsOk());
  const auto feed = Follow();
  const StatusOr<int64_t> id =
      store_->CreateChain(testing::ChainOf("decoder", {KeyOf(*store_, "up")}));
  ASSERT_THAT(id, IsOk());
  StatusOr<StoreChanges> changes = feed->Next(kForEver);
  ASSERT_THAT(changes, IsOk());
  EXPECT_THAT(NamesOf(changes->changed), IsEmpty());
  ASSERT_EQ(changes->changed.chains.size(), 1u);
  EXPECT_EQ(changes->changed.chains[0].id, *id);
  EXPECT_FALSE(changes->living.has_value());

  ASSERT_THAT(CreateBuilt(*store_, "new", config_), IsOk());
  changes = feed->Next(kForEver);
  ASSERT_THAT(changes, IsOk());
  EXPECT_TRUE(changes->changed.chains.empty());

  ASSERT_THAT(store_->Delete("new"), IsOk());
  changes = feed->Next(kForEver);
  ASSERT_THAT(changes, IsOk());
  EXPECT_THAT(changes->living, Optional(ElementsAre(KeyOf(*store_, "up").id, *id)));
  ASSERT_THAT(store_->DeleteChain("decoder"), IsOk());
  changes = feed->Next(kForEver);
  ASSERT_THAT(changes, IsOk());
  EXPECT_THAT(changes->living, Optional(ElementsAre(KeyOf(*store_, "up").id)));
}

}  // namespace
}  // namespace tconv::server
