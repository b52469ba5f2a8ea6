#include "server/store/sqlite_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <filesystem>
#include <memory>
#include <random>
#include <string>

#include "server/store/open_store.h"
#include "tests/support/layer_config_builder.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/store/earlier_schemas.h"
#include "tests/unit/store/store_test_util.h"

namespace tconv::server {
namespace {

namespace fs = std::filesystem;
using ::testing::AnyOf;
using testing::Contents;
using testing::ContentsOf;
using testing::CreateBuilt;
using testing::Describe;
using testing::DescribeSettings;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::KeyOf;
using testing::LayerConfigBuilder;
using testing::MakeOptimizer;
using testing::RandomTraining;
using testing::RandomWeights;
using testing::ReadFile;
using testing::Record;
using testing::StatusIs;
using testing::WithSettings;
using testing::WriteFile;

class SqliteStoreTest : public ::testing::Test {
 protected:
  std::unique_ptr<LayerStore> Open() {
    return OpenSqliteStore(path_, {.chunk_bytes = 10'000}).value();
  }

  // A store with the layers "a" and "b", closed again.
  Contents MakeTwoLayers() {
    const auto store = Open();
    EXPECT_THAT(CreateBuilt(*store, "a", config_, kInChannels), IsOk());
    EXPECT_THAT(CreateBuilt(*store, "b", config_, kInChannels, 7), IsOk());
    return ContentsOf(*store);
  }

  // Gives the layer settings of version 1 and a state.
  LayerRecord Train(const std::string& name) {
    const auto store = Open();
    LayerRecord layer = Record(name, config_);
    layer.id = KeyOf(*store, name).id;
    layer = WithSettings(layer, true, MakeOptimizer({"Adam", {}}));
    const TrainingState state = RandomTraining(config_, kInChannels, 1);
    EXPECT_THAT(store->PutSettings(layer, &state, 0), IsOk());
    return layer;
  }

  // Changes the stored rows behind the back of the digests.
  void RunSql(const std::string& sql) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(db);
    sqlite3_close(db);
  }

  static constexpr int64_t kInChannels = 128;
  const LayerConfig config_ = LayerConfigBuilder().Filters(64).Build();  // 32 KiB of weights
  const testing::TempFolder folder_;
  const std::string path_ = folder_ / "store.db";
};

TEST_F(SqliteStoreTest, DamagedWeightsAreReportedAndTheOthersServed) {
  const std::string kDamages[] = {
      "UPDATE chunk SET data = CAST('x' || substr(data, 2) AS BLOB) WHERE layer_id = 1 AND "
      "position = 1",
      "UPDATE chunk SET data = zeroblob(9999) WHERE layer_id = 1 AND position = 1",
      "DELETE FROM chunk WHERE layer_id = 1 AND position = 2",
      "UPDATE chunk SET position = -1 WHERE layer_id = 1 AND role = 'kernel' AND position = 1",
      "DELETE FROM tensor WHERE layer_id = 1 AND role = 'kernel'",
      "DELETE FROM tensor WHERE layer_id = 1 AND role = 'bias'",
      "UPDATE tensor SET dtype = 'float16' WHERE layer_id = 1",
      "UPDATE tensor SET dtype = 'int4' WHERE layer_id = 1",
      "UPDATE tensor SET shape = '[1, 1, 128, 64]' WHERE layer_id = 1 AND role = 'kernel'",
      "UPDATE tensor SET shape = '[1000000, 1000000, 1000000]' WHERE layer_id = 1",
      "UPDATE tensor SET shape = '[64, 128' WHERE layer_id = 1",
      "UPDATE tensor SET digest = x'00' WHERE layer_id = 1",
  };
  for (const std::string& damage : kDamages) {
    SCOPED_TRACE(damage);
    fs::remove(path_);
    const Contents contents = MakeTwoLayers();
    RunSql(damage);

    const auto store = Open();
    EXPECT_THAT(store->ReadWeights(KeyOf(*store, "a")),
                StatusIs(StatusCode::kDataLoss, HasSubstr("layer \"a\"")));
    EXPECT_EQ(Describe(store->ReadWeights(KeyOf(*store, "b")).value()), contents.at("b"));

    EXPECT_THAT(store->PutWeights(KeyOf(*store, "a"), RandomWeights(config_, kInChannels, 2), 1),
                IsOk());
    EXPECT_THAT(store->ReadWeights(KeyOf(*store, "a")), IsOk());
  }
}

TEST_F(SqliteStoreTest, DamagedTrainingIsReportedAndTheLayerServed) {
  const std::string kDamages[] = {
      "UPDATE layer SET training = x'' WHERE id = 1",
      "UPDATE layer SET training = x'0801' WHERE id = 1",
      "UPDATE layer SET training_digest = x'' WHERE id = 1",
      "UPDATE layer SET training_digest = x'00' WHERE id = 1",
      "UPDATE chunk SET data = zeroblob(length(data)) WHERE layer_id = 1 AND role = "
      "'velocity/kernel' AND position = 1",
      "DELETE FROM chunk WHERE layer_id = 1 AND role = 'momentum/bias'",
      "DELETE FROM tensor WHERE layer_id = 1 AND role = 'momentum/kernel'",
      "UPDATE tensor SET role = 'other/bias' WHERE layer_id = 1 AND role = 'velocity/bias'",
      "UPDATE tensor SET digest = x'00' WHERE layer_id = 1 AND role = 'velocity/bias'",
  };
  for (const std::string& damage : kDamages) {
    SCOPED_TRACE(damage);
    fs::remove(path_);
    const Contents contents = MakeTwoLayers();
    const LayerRecord a = Train("a");
    RunSql(damage);

    const auto store = Open();
    EXPECT_THAT(store->ReadTraining(a.key()),
                StatusIs(StatusCode::kDataLoss, HasSubstr("layer \"a\"")));
    EXPECT_EQ(Describe(store->ReadWeights(a.key()).value()), contents.at("a"));

    const TrainingState initial;
    EXPECT_THAT(store->PutSettings(WithSettings(a, true, a.optimizer), &initial, 1), IsOk());
    EXPECT_EQ(Describe(store->ReadTraining(a.key()).value().state), Describe(initial));
  }
}

TEST_F(SqliteStoreTest, ALayerWithADamagedDescriptionIsListedApartAndCanOnlyBeDeleted) {
  const std::string kDamages[] = {
      "UPDATE layer SET config = zeroblob(0) WHERE id = 1",
      "UPDATE layer SET config = x'ff' WHERE id = 1",
      "UPDATE layer SET weights_version = 2 WHERE id = 1",
      "UPDATE layer SET in_channels = 1 WHERE id = 1",
      "UPDATE layer SET digest = x'00' WHERE id = 1",
      "UPDATE layer SET settings_version = 1 WHERE id = 1",
      "UPDATE layer SET settings_version = 1, settings_digest = x'' WHERE id = 1",
      "UPDATE layer SET optimizer = x'0a0141' WHERE id = 1",
      "UPDATE layer SET settings_digest = x'00' WHERE id = 1",
  };
  for (const std::string& damage : kDamages) {
    SCOPED_TRACE(damage);
    fs::remove(path_);
    const Contents contents = MakeTwoLayers();
    RunSql(damage);

    const auto store = Open();
    const auto damaged = StatusIs(StatusCode::kDataLoss, HasSubstr("layer \"a\""));
    const StatusOr<LayerIndex> index = store->ReadIndex();
    ASSERT_THAT(index, IsOk());
    ASSERT_EQ(index->layers.size(), 1u);
    EXPECT_EQ(index->layers[0].name, "b");
    ASSERT_EQ(index->damaged.size(), 1u);
    EXPECT_EQ(index->damaged[0].name, "a");
    EXPECT_THAT(index->damaged[0].error, damaged);
    EXPECT_THAT(store->ReadWeights(KeyOf(*store, "a")), damaged);
    EXPECT_THAT(store->PutWeights(KeyOf(*store, "a"), RandomWeights(config_, kInChannels, 2), 1),
                damaged);
    EXPECT_THAT(CreateBuilt(*store, "a", config_), StatusIs(StatusCode::kAlreadyExists));

    ASSERT_THAT(store->Delete("a"), IsOk());
    EXPECT_THAT(ContentsOf(*store), ::testing::ElementsAre(*contents.find("b")));
  }
}

TEST_F(SqliteStoreTest, NoFlippedByteOfTheFileMakesAWrongAnswer) {
  const Contents contents = MakeTwoLayers();
  const std::string settings = DescribeSettings(Train("a"));
  const std::string training = Describe(RandomTraining(config_, kInChannels, 1));
  const std::string intact = ReadFile(path_);
  std::mt19937 random(7);
  int served = 0;
  for (int round = 0; round < 400; ++round) {
    std::string bytes = intact;
    const size_t at = random() % bytes.size();
    bytes[at] = static_cast<char>(bytes[at] ^ (1 + random() % 255));
    SCOPED_TRACE(fmt::format("byte {} of {}", at, bytes.size()));
    WriteFile(path_, bytes);

    const auto store = OpenSqliteStore(path_);
    if (!store.ok()) {
      EXPECT_THAT(
          store, AnyOf(StatusIs(StatusCode::kDataLoss), StatusIs(StatusCode::kFailedPrecondition)));
      continue;
    }
    const StatusOr<LayerIndex> index = (*store)->ReadIndex();
    ASSERT_THAT(index, IsOk());
    EXPECT_EQ(index->layers.size() + index->damaged.size(), contents.size());
    for (const LayerRecord& record : index->layers) {
      const StatusOr<Weights> weights = (*store)->ReadWeights(record.key());
      if (weights.ok()) {
        ++served;
        EXPECT_EQ(Describe(*weights), contents.at(record.name));
      } else {
        EXPECT_THAT(weights, StatusIs(StatusCode::kDataLoss));
      }
      if (record.name != "a") continue;
      EXPECT_EQ(DescribeSettings(record), settings);
      const StatusOr<StoredTraining> state = (*store)->ReadTraining(record.key());
      if (state.ok()) {
        EXPECT_EQ(Describe(state->state), training);
      } else {
        EXPECT_THAT(state, StatusIs(StatusCode::kDataLoss));
      }
    }
  }
  EXPECT_GT(served, 0);
}

TEST_F(SqliteStoreTest, TrainingAgainAndAgainDoesNotGrowTheFile) {
  MakeTwoLayers();
  Train("a");
  const uintmax_t size = fs::file_size(path_);
  {
    const auto store = Open();
    for (int64_t version = 2; version < 50; ++version) {
      ASSERT_THAT(
          store->PutStep(KeyOf(*store, "a"), RandomWeights(config_, kInChannels, version),
                         RandomTraining(config_, kInChannels, version - 1), {version - 1, 1}),
          IsOk());
    }
  }
  EXPECT_LE(fs::file_size(path_), 2 * size);
}

TEST_F(SqliteStoreTest, DeletingALayerGivesItsSpaceBack) {
  Open();
  const uintmax_t size = fs::file_size(path_);
  {
    const auto store = Open();
    for (const char* name : {"a", "b", "c"}) {
      ASSERT_THAT(CreateBuilt(*store, name, config_, 100 * kInChannels), IsOk());
      ASSERT_THAT(store->PutStep(KeyOf(*store, name), RandomWeights(config_, 100 * kInChannels, 2),
                                 RandomTraining(config_, 100 * kInChannels, 1), {1, 0}),
                  IsOk());
    }
    for (const char* name : {"b", "a", "c"}) ASSERT_THAT(store->Delete(name), IsOk());
  }
  EXPECT_EQ(fs::file_size(path_), size);
}

TEST_F(SqliteStoreTest, EveryReleasedSchemaIsUpgradedAndNothingIsLost) {
  struct Case {
    std::string file;
    Contents contents;
  };
  const Case kCases[] = {{"/store_schema_1.db", testing::ContentsOfEarlierSchema()},
                         {"/store_schema_2.db", testing::ContentsOfEarlierSchema()},
                         {"/store_schema_3.db", testing::ContentsOfTrainedSchema()}};
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.file);
    fs::copy_file(TCONV_TEST_DATA + c.file, path_, fs::copy_options::overwrite_existing);
    for (int opening = 0; opening < 2; ++opening) EXPECT_EQ(ContentsOf(*Open()), c.contents);
    testing::ExpectUpgraded(*Open(), c.contents);
  }
}

TEST_F(SqliteStoreTest, ClosingLeavesOneDatabaseAndItsLock) {
  MakeTwoLayers();
  EXPECT_FALSE(fs::exists(path_ + "-wal"));
  EXPECT_FALSE(fs::exists(path_ + "-shm"));
  EXPECT_TRUE(fs::exists(path_ + "-lock"));
}

}  // namespace
}  // namespace tconv::server
