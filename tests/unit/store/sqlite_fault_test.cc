// Disks that fail: whichever operation it is, a change happens wholly or not at
// all, and the store works again when the disk does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "server/store/sqlite_store.h"
#include "tests/support/layer_config_builder.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/store/faulty_vfs.h"
#include "tests/unit/store/store_faults.h"
#include "tests/unit/store/store_test_util.h"

namespace tconv::server {
namespace {

namespace fs = std::filesystem;
using ::testing::AnyOf;
using testing::ChangesOf;
using testing::Contents;
using testing::ContentsOf;
using testing::Describe;
using testing::Fault;
using testing::FaultyVfs;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::RandomTraining;
using testing::RandomWeights;
using testing::StatusIs;
using testing::StoreChange;
using testing::TwoLayers;

const Fault kFaults[] = {
    {"the disk is full", SQLITE_FULL, false, false},
    {"one write fails", SQLITE_IOERR_WRITE, true, false},
    {"every write fails", SQLITE_IOERR_WRITE, false, false},
    {"one write stops half-way", SQLITE_IOERR_WRITE, true, true},
    {"every write stops half-way", SQLITE_FULL, false, true},
    {"one sync fails", SQLITE_IOERR_FSYNC, true, false},
};

// Nothing needs more operations than that; a test that gets there is wrong.
constexpr int kTooMany = 2'000;

// Weights of several pages and chunks.
const TwoLayers& Layers() {
  static const TwoLayers layers{testing::LayerConfigBuilder().Filters(64).Build(), 160};
  return layers;
}
constexpr SqliteStoreOptions kOptions{.chunk_bytes = 20'000};

class SqliteFaultTest : public ::testing::Test {
 protected:
  std::unique_ptr<LayerStore> Open(const std::string& path) {
    return OpenSqliteStore(path, kOptions).value();
  }

  std::unique_ptr<LayerStore> OpenWithTwoLayers(const std::string& path) {
    std::unique_ptr<LayerStore> store = Open(path);
    Layers().CreateIn(*store);
    return store;
  }

  // What a server would find that starts after this one was killed here.
  Contents ContentsAfterCrash(const std::string& path) {
    const testing::TempFolder elsewhere;
    for (const char* suffix : {"", "-wal", "-journal"}) {
      if (fs::exists(path + suffix))
        fs::copy_file(path + suffix, elsewhere / ("db" + std::string(suffix)));
    }
    return ContentsOf(*Open(elsewhere / "db"));
  }

  FaultyVfs vfs_;
};

TEST_F(SqliteFaultTest, AChangeThatFailsAnywhereChangesNothingAndSucceedsLater) {
  for (const StoreChange& change : ChangesOf(Layers())) {
    const testing::TempFolder reference;
    const auto store = OpenWithTwoLayers(reference / "db");
    const Contents before = ContentsOf(*store);
    ASSERT_THAT(change.apply(*store), IsOk());
    const Contents after = ContentsOf(*store);

    for (const Fault& fault : kFaults) {
      bool struck = true;
      for (int n = 1; struck; ++n) {
        SCOPED_TRACE(fmt::format("{}, {} at operation {}", change.name, fault.name, n));
        ASSERT_LT(n, kTooMany);
        const testing::TempFolder folder;
        const auto faulty = OpenWithTwoLayers(folder / "db");
        vfs_.FailAt(n, fault);
        const Status status = change.apply(*faulty);
        struck = vfs_.has_failed();
        vfs_.Heal();

        if (status.ok()) {
          ASSERT_EQ(ContentsOf(*faulty), after);
          ASSERT_EQ(ContentsAfterCrash(folder / "db"), after);
          continue;
        }
        ASSERT_TRUE(struck);
        ASSERT_THAT(status, StatusIs(StatusCode::kUnavailable));
        ASSERT_EQ(ContentsOf(*faulty), before);
        ASSERT_THAT(ContentsAfterCrash(folder / "db"), AnyOf(before, after));
        ASSERT_THAT(change.apply(*faulty), IsOk());
        ASSERT_EQ(ContentsOf(*faulty), after);
        ASSERT_EQ(ContentsAfterCrash(folder / "db"), after);
      }
    }
  }
}

TEST_F(SqliteFaultTest, ADatabaseWhoseCreationFailedAnywhereIsCreatedByTheNextOpening) {
  for (const Fault& fault : kFaults) {
    bool struck = true;
    for (int n = 1; struck; ++n) {
      SCOPED_TRACE(fmt::format("{} at operation {}", fault.name, n));
      ASSERT_LT(n, kTooMany);
      const testing::TempFolder folder;
      vfs_.FailAt(n, fault);
      const Status status = OpenSqliteStore(folder / "db").status();
      struck = vfs_.has_failed();
      vfs_.Heal();
      ASSERT_THAT(status, AnyOf(IsOk(), StatusIs(StatusCode::kUnavailable)));
      ASSERT_THAT(ContentsAfterCrash(folder / "db"), IsEmpty());
      ASSERT_THAT(ContentsOf(*Open(folder / "db")), IsEmpty());
    }
  }
}

TEST_F(SqliteFaultTest, FailuresWhileClosingAndOpeningLoseNothing) {
  for (const Fault& fault : kFaults) {
    bool struck = true;
    for (int n = 1; struck; ++n) {
      SCOPED_TRACE(fmt::format("{} at operation {}", fault.name, n));
      ASSERT_LT(n, kTooMany);
      const testing::TempFolder folder;
      auto store = OpenWithTwoLayers(folder / "db");
      const Contents contents = ContentsOf(*store);
      vfs_.FailAt(n, fault);
      store.reset();
      const Status status = OpenSqliteStore(folder / "db").status();
      struck = vfs_.has_failed();
      vfs_.Heal();
      ASSERT_THAT(status, AnyOf(IsOk(), StatusIs(StatusCode::kUnavailable)));
      ASSERT_EQ(ContentsOf(*Open(folder / "db")), contents);
    }
  }
}

TEST_F(SqliteFaultTest, AReadingThatFailsAnywhereIsUnavailableAndSucceedsLater) {
  const testing::TempFolder folder;
  const auto store = OpenWithTwoLayers(folder / "db");
  const std::string weights = Describe(RandomWeights(Layers().config, Layers().in_channels, 2));
  const std::string training = Describe(RandomTraining(Layers().config, Layers().in_channels, 1));
  bool struck = true;
  for (int n = 1; struck; ++n) {
    SCOPED_TRACE(n);
    ASSERT_LT(n, kTooMany);
    vfs_.FailReadsAt(n, {"a read fails", SQLITE_IOERR_READ, true, false});
    const StatusOr<Weights> read_weights = store->ReadWeights(Layers().b());
    const StatusOr<StoredTraining> read_training = store->ReadTraining(Layers().b());
    struck = vfs_.has_failed();
    vfs_.Heal();
    EXPECT_EQ(struck, !read_weights.ok() || !read_training.ok());
    for (const Status& status : {read_weights.status(), read_training.status()}) {
      ASSERT_THAT(status, AnyOf(IsOk(), StatusIs(StatusCode::kUnavailable)));
    }
    if (read_weights.ok()) {
      ASSERT_EQ(Describe(*read_weights), weights);
    }
    if (read_training.ok()) {
      ASSERT_EQ(Describe(read_training->state), training);
    }
  }
}

}  // namespace
}  // namespace tconv::server
