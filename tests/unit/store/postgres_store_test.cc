#include "server/store/postgres_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/layer_config_builder.h"
#include "tests/support/postgres_server.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/store/earlier_schemas.h"
#include "tests/unit/store/store_test_util.h"

namespace tconv::server {
namespace {

using testing::Contents;
using testing::ContentsOf;
using testing::CreateBuilt;
using testing::Describe;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::KeyOf;
using testing::LayerConfigBuilder;
using testing::MakeOptimizer;
using ::testing::Not;
using testing::RandomTraining;
using testing::RandomWeights;
using testing::Record;
using testing::RunSql;
using testing::StatusIs;
using testing::WithSettings;

class PostgresStoreTest : public ::testing::Test {
 protected:
  PostgresStoreTest() : address_(server().NewDatabase()) {}

  static testing::PostgresServer& server() {
    static testing::PostgresServer server;
    return server;
  }

  std::unique_ptr<LayerStore> Open() {
    return OpenPostgresStore(address_, {.chunk_bytes = 1'000}).value();
  }

  // A store with the layers "a", whose id is 1, and "b".
  std::unique_ptr<LayerStore> OpenWithTwoLayers() {
    auto store = Open();
    EXPECT_THAT(CreateBuilt(*store, "a", config_, kInChannels), IsOk());
    EXPECT_THAT(CreateBuilt(*store, "b", config_, kInChannels, 7), IsOk());
    return store;
  }

  static constexpr int64_t kInChannels = 32;
  const LayerConfig config_ = LayerConfigBuilder().Filters(32).Build();  // 4 KiB of weights
  const std::string address_;
};

TEST_F(PostgresStoreTest, DamagedWeightsAreReportedAndTheOthersServed) {
  const std::string kDamages[] = {
      "UPDATE tconv.chunk SET data = set_byte(data, 0, 255 - get_byte(data, 0))"
      " WHERE weights_id = 1 AND position = 1",
      "UPDATE tconv.chunk SET data = substr(data, 2) WHERE weights_id = 1 AND position = 1",
      "DELETE FROM tconv.chunk WHERE weights_id = 1 AND position = 2",
      "UPDATE tconv.chunk SET position = -1 WHERE weights_id = 1 AND position = 1",
      "DELETE FROM tconv.tensor WHERE weights_id = 1 AND role = 'kernel'",
      "DELETE FROM tconv.tensor WHERE weights_id = 1 AND role = 'bias'",
      "UPDATE tconv.tensor SET dtype = 'float16' WHERE weights_id = 1",
      "UPDATE tconv.tensor SET dtype = 'int4' WHERE weights_id = 1",
      "UPDATE tconv.tensor SET shape = '[1000000, 1000000, 1000000]' WHERE weights_id = 1",
      "UPDATE tconv.tensor SET shape = '[64, 128' WHERE weights_id = 1",
      "UPDATE tconv.tensor SET digest = '\\x00' WHERE weights_id = 1",
      "UPDATE tconv.layer SET weights_id = 17 WHERE id = 1",
  };
  const auto store = OpenWithTwoLayers();
  const std::string b = ContentsOf(*store).at("b");
  int64_t version = 1;
  for (const std::string& damage : kDamages) {
    SCOPED_TRACE(damage);
    RunSql(address_,
           "UPDATE tconv.tensor SET weights_id = 1 WHERE weights_id ="
           " (SELECT weights_id FROM tconv.layer WHERE id = 1)");
    RunSql(address_,
           "UPDATE tconv.chunk SET weights_id = 1 WHERE weights_id ="
           " (SELECT weights_id FROM tconv.layer WHERE id = 1)");
    RunSql(address_, "UPDATE tconv.layer SET weights_id = 1 WHERE id = 1");
    ASSERT_THAT(store->ReadWeights({"a", 1}), IsOk());
    RunSql(address_, damage);
    EXPECT_THAT(store->ReadWeights({"a", 1}),
                StatusIs(StatusCode::kDataLoss, HasSubstr("layer \"a\"")));
    EXPECT_EQ(Describe(store->ReadWeights(KeyOf(*store, "b")).value()), b);

    EXPECT_THAT(
        store->PutWeights({"a", 1}, RandomWeights(config_, kInChannels, version + 1), version),
        IsOk());
    ++version;
    EXPECT_THAT(store->ReadWeights({"a", 1}), IsOk());
    RunSql(address_, "DELETE FROM tconv.tensor WHERE weights_id = 1");
    RunSql(address_, "DELETE FROM tconv.chunk WHERE weights_id = 1");
  }
}

TEST_F(PostgresStoreTest, DamagedTrainingIsReportedAndTheLayerServed) {
  const std::string kSlots = "(SELECT slots_id FROM tconv.layer WHERE id = 1)";
  const std::string kDamages[] = {
      "UPDATE tconv.layer SET training = '' WHERE id = 1",
      "UPDATE tconv.layer SET training = '\\x0801' WHERE id = 1",
      "UPDATE tconv.layer SET training_digest = '' WHERE id = 1",
      "UPDATE tconv.layer SET slots_id = 0 WHERE id = 1",
      "UPDATE tconv.layer SET slots_id = weights_id WHERE id = 1",
      "DELETE FROM tconv.chunk WHERE role = 'momentum/kernel' AND position = 1 AND weights_id = " +
          kSlots,
      "DELETE FROM tconv.tensor WHERE role = 'velocity/bias' AND weights_id = " + kSlots,
      "UPDATE tconv.tensor SET digest = '\\x00' WHERE weights_id = " + kSlots,
  };
  const auto store = OpenWithTwoLayers();
  const std::string weights = ContentsOf(*store).at("a");
  LayerRecord a = Record("a", config_);
  a.id = 1;
  const TrainingState state = RandomTraining(config_, kInChannels, 1);
  for (const std::string& damage : kDamages) {
    SCOPED_TRACE(damage);
    const int64_t version = a.settings_version;
    a = WithSettings(a, true, MakeOptimizer({"Adam", {}}));
    ASSERT_THAT(store->PutSettings(a, &state, version), IsOk());
    ASSERT_EQ(Describe(store->ReadTraining(a.key()).value().state), Describe(state));
    RunSql(address_, damage);

    EXPECT_THAT(store->ReadTraining(a.key()),
                StatusIs(StatusCode::kDataLoss, HasSubstr("layer \"a\"")));
    EXPECT_EQ(Describe(store->ReadWeights(a.key()).value()), weights);
    // Healing must not delete the weights.
    RunSql(address_, "UPDATE tconv.layer SET slots_id = 0 WHERE slots_id = weights_id");
  }
}

TEST_F(PostgresStoreTest, ALayerWithADamagedDescriptionIsListedApartAndCanOnlyBeDeleted) {
  const std::string kDamages[] = {
      "UPDATE tconv.layer SET config = '' WHERE name = 'a'",
      "UPDATE tconv.layer SET config = '\\xff' WHERE name = 'a'",
      "UPDATE tconv.layer SET weights_version = 2 WHERE name = 'a'",
      "UPDATE tconv.layer SET in_channels = 1 WHERE name = 'a'",
      "UPDATE tconv.layer SET digest = '\\x00' WHERE name = 'a'",
      "UPDATE tconv.layer SET settings_version = 1 WHERE name = 'a'",
      "UPDATE tconv.layer SET settings_version = 1, settings_digest = '' WHERE name = 'a'",
      "UPDATE tconv.layer SET optimizer = '\\x0a0141' WHERE name = 'a'",
      "UPDATE tconv.layer SET settings_digest = '\\x00' WHERE name = 'a'",
  };
  const auto store = OpenWithTwoLayers();
  const Contents contents = ContentsOf(*store);
  for (const std::string& damage : kDamages) {
    SCOPED_TRACE(damage);
    RunSql(address_, damage);
    const auto damaged = StatusIs(StatusCode::kDataLoss, HasSubstr("layer \"a\""));
    const StatusOr<LayerIndex> index = store->ReadIndex();
    ASSERT_THAT(index, IsOk());
    ASSERT_EQ(index->layers.size(), 1u);
    ASSERT_EQ(index->damaged.size(), 1u);
    EXPECT_EQ(index->damaged[0].name, "a");
    EXPECT_THAT(index->damaged[0].error, damaged);
    const LayerKey a = KeyOf(*store, "a");
    EXPECT_THAT(store->ReadWeights(a), damaged);
    EXPECT_THAT(store->PutWeights(a, RandomWeights(config_, kInChannels, 2), 1), damaged);
    EXPECT_THAT(CreateBuilt(*store, "a", config_), StatusIs(StatusCode::kAlreadyExists));

    ASSERT_THAT(store->Delete("a"), IsOk());
    EXPECT_THAT(ContentsOf(*store), ElementsAre(*contents.find("b")));
    ASSERT_THAT(CreateBuilt(*store, "a", config_, kInChannels), IsOk());
  }
}

TEST_F(PostgresStoreTest, NothingIsLeftOfTensorsThatWereReplacedOrDeleted) {
  const auto store = OpenWithTwoLayers();
  const auto count = [&](const std::string& table) {
    return RunSql(address_, "SELECT count(*) FROM tconv." + table);
  };
  const auto train = [&](int64_t version) {
    ASSERT_THAT(store->PutStep({"a", 1}, RandomWeights(config_, kInChannels, version),
                               RandomTraining(config_, kInChannels, version - 1), {version - 1, 0}),
                IsOk());
  };
  const auto set = [&](int64_t version) {
    ASSERT_THAT(
        store->PutWeights({"a", 1}, RandomWeights(config_, kInChannels, version), version - 1),
        IsOk());
  };
  train(2);
  const std::string tensors = count("tensor");
  const std::string chunks = count("chunk");
  for (int64_t version = 3; version < 9; ++version) {
    if (version % 2 == 0) {
      train(version);
    } else {
      set(version);
    }
    EXPECT_EQ(count("tensor"), tensors);
    EXPECT_EQ(count("chunk"), chunks);
  }
  for (const char* name : {"a", "b"}) ASSERT_THAT(store->Delete(name), IsOk());
  EXPECT_EQ(count("tensor"), "0");
  EXPECT_EQ(count("chunk"), "0");
}

TEST_F(PostgresStoreTest, ServersThatStartTogetherMakeOneSchema) {
  std::vector<std::future<Status>> opened;
  for (int i = 0; i < 8; ++i) {
    opened.push_back(
        std::async(std::launch::async, [&] { return OpenPostgresStore(address_).status(); }));
  }
  for (auto& status : opened) EXPECT_THAT(status.get(), IsOk());
}

TEST_F(PostgresStoreTest, TheFirstReleasedSchemaIsUpgradedAndNothingIsLost) {
  RunSql(address_, testing::ReadFile(TCONV_TEST_DATA "/postgres_schema_1.sql"));
  testing::ExpectUpgraded(*Open(), testing::ContentsOfEarlierSchema());
}

TEST_F(PostgresStoreTest, TheSchemaWithTrainingIsUpgradedAndNothingIsLost) {
  RunSql(address_, testing::ReadFile(TCONV_TEST_DATA "/postgres_schema_2.sql"));
  testing::ExpectUpgraded(*Open(), testing::ContentsOfTrainedSchema());
}

TEST_F(PostgresStoreTest, RefusesWhatIsNotItsOwnAndLeavesItAlone) {
  struct Case {
    const char* sql;
    const char* message;
  };
  const Case kCases[] = {
      {"UPDATE tconv.catalog SET schema_version = 1000", "expected schema version 3 or older"},
      {"ALTER TABLE tconv.catalog DROP COLUMN schema_version", "schema_version"},
      {"DROP SCHEMA tconv CASCADE; CREATE SCHEMA tconv; CREATE TABLE tconv.layer (x int)",
       "\"layer\" already exists"},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.sql);
    Open();
    RunSql(address_, c.sql);
    EXPECT_THAT(OpenPostgresStore(address_),
                StatusIs(StatusCode::kFailedPrecondition, HasSubstr(c.message)));
    RunSql(address_, "DROP SCHEMA tconv CASCADE");
  }
}

TEST_F(PostgresStoreTest, AServerThatIsOlderThanTheSchemaChangesNothing) {
  const auto store = OpenWithTwoLayers();
  const Contents before = ContentsOf(*store);
  RunSql(address_, "UPDATE tconv.catalog SET schema_version = schema_version + 1");
  const auto refused = StatusIs(StatusCode::kFailedPrecondition, HasSubstr("newer version"));
  EXPECT_THAT(CreateBuilt(*store, "new", config_), refused);
  EXPECT_THAT(store->PutWeights({"a", 1}, RandomWeights(config_, kInChannels, 2), 1), refused);
  EXPECT_THAT(store->Delete("a"), refused);
  EXPECT_EQ(ContentsOf(*store), before);
}

TEST_F(PostgresStoreTest, AStoreThatWasPutBackTellsAllThatItHas) {
  const auto store = OpenWithTwoLayers();
  const auto feed = store->Follow(store->ReadIndex()->revision);
  RunSql(address_,
         "DELETE FROM tconv.layer WHERE name = 'b';"
         "UPDATE tconv.catalog SET revision = 1");
  const StatusOr<StoreChanges> changes = feed->Next(std::chrono::milliseconds(0));
  ASSERT_THAT(changes, IsOk());
  EXPECT_EQ(changes->revision, 1);
  EXPECT_EQ(changes->changed.layers.size(), 1u);
  EXPECT_THAT(changes->living, ::testing::Optional(ElementsAre(1)));
}

TEST_F(PostgresStoreTest, NoErrorShowsThePassword) {
  const std::string folder = server().folder();
  const std::string kAddresses[] = {
      "postgres://tconv:secret@/nowhere?host=" + folder,
      "postgres://tconv:secret@127.0.0.1:1/store?connect_timeout=1",
      "postgres://tconv@/nowhere?password=secret&host=" + folder,
      "postgres://tconv:secret@[::1/store",
      "postgres://tconv:sec%ZZret@host/secret",
  };
  for (const std::string& address : kAddresses) {
    const Status status = OpenPostgresStore(address).status();
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(status.ToString(), Not(HasSubstr("sec"))) << status.ToString();
  }
}

}  // namespace
}  // namespace tconv::server
