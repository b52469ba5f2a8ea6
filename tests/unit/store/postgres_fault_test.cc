// What becomes of changes when PostgreSQL fails in the middle of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>

#include "server/store/postgres_store.h"
#include "tests/support/layer_config_builder.h"
#include "tests/support/postgres_server.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/store/store_faults.h"
#include "tests/unit/store/store_test_util.h"

namespace tconv::server {
namespace {

using testing::ChangesOf;
using testing::Contents;
using testing::ContentsOf;
using testing::CreateBuilt;
using testing::Describe;
using testing::IsOk;
using testing::PostgresServer;
using testing::RandomTraining;
using testing::RandomWeights;
using testing::RunSql;
using testing::SqlSession;
using testing::StatusIs;
using testing::StoreChange;
using testing::TwoLayers;

const TwoLayers& Layers() {
  static const TwoLayers layers{testing::LayerConfigBuilder().Filters(16).Build(), 16};
  return layers;
}
constexpr PostgresStoreOptions kOptions{.chunk_bytes = 400};

// Counts the statements that change the store, and the commit, and lets those
// from a given one on fail.
class Faults {
 public:
  explicit Faults(std::string address) : address_(std::move(address)) {
    RunSql(address_, R"(
        CREATE SEQUENCE public.statement;
        CREATE TABLE public.fault (first bigint, kind text);
        CREATE FUNCTION public.strike() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
          n bigint := nextval('public.statement');
          fault record;
        BEGIN
          SELECT * INTO fault FROM public.fault WHERE first <= n;
          IF fault.kind = 'cut' THEN
            PERFORM pg_terminate_backend(pg_backend_pid());
          ELSIF FOUND THEN
            RAISE EXCEPTION 'struck' USING ERRCODE = fault.kind;
          END IF;
          RETURN NULL;
        END $$;
        CREATE CONSTRAINT TRIGGER strike_the_commit AFTER UPDATE ON tconv.catalog
          DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.strike())");
    for (const std::string table : {"catalog", "layer", "tensor", "chunk"}) {
      RunSql(address_, "CREATE TRIGGER strike BEFORE INSERT OR UPDATE OR DELETE ON tconv." + table +
                           " FOR EACH STATEMENT EXECUTE FUNCTION public.strike()");
    }
  }

  void StrikeFrom(int n, const std::string& kind) {
    Heal();
    RunSql(address_, fmt::format("INSERT INTO public.fault VALUES ({}, '{}')", n, kind));
  }
  void Heal() {
    RunSql(address_, "DELETE FROM public.fault; ALTER SEQUENCE public.statement RESTART");
  }
  bool HasStruck(int n) {
    return RunSql(address_,
                  fmt::format("SELECT last_value >= {} AND is_called FROM public.statement", n)) ==
           "t";
  }

 private:
  const std::string address_;
};

class PostgresFaultTest : public ::testing::Test {
 protected:
  std::unique_ptr<LayerStore> Open(const std::string& address) {
    return OpenPostgresStore(address, kOptions).value();
  }

  std::unique_ptr<LayerStore> OpenWithTwoLayers(const std::string& address) {
    std::unique_ptr<LayerStore> store = Open(address);
    Layers().CreateIn(*store);
    return store;
  }

  static PostgresServer& server() {
    static PostgresServer server;
    return server;
  }
};

TEST_F(PostgresFaultTest, AChangeThatFailsAnywhereChangesNothingAndSucceedsLater) {
  struct Fault {
    const char* name;
    const char* kind;
  };
  constexpr Fault kFaults[] = {{"the connection is cut", "cut"},
                               {"the disk is full", "53100"},
                               {"the disk cannot be written", "58030"}};
  for (const StoreChange& change : ChangesOf(Layers())) {
    for (const Fault& fault : kFaults) {
      const std::string address = server().NewDatabase();
      const auto store = OpenWithTwoLayers(address);
      const Contents before = ContentsOf(*store);
      Faults faults(address);
      int n = 1;
      for (; true; ++n) {
        SCOPED_TRACE(fmt::format("{}, {} from statement {} on", change.name, fault.name, n));
        ASSERT_LT(n, 100);
        faults.StrikeFrom(n, fault.kind);
        const Status status = change.apply(*store);
        if (!faults.HasStruck(n)) {
          ASSERT_THAT(status, IsOk());
          break;
        }
        ASSERT_THAT(status, StatusIs(StatusCode::kUnavailable));
        ASSERT_EQ(ContentsOf(*store), before);
      }
      EXPECT_GT(n, 4) << "few statements were struck";
      EXPECT_NE(ContentsOf(*store), before);
      EXPECT_EQ(RunSql(address,
                       "SELECT count(*) FROM tconv.chunk WHERE weights_id NOT IN"
                       " (SELECT weights_id FROM tconv.layer UNION SELECT slots_id FROM"
                       " tconv.layer)"),
                "0");
    }
  }
}

TEST_F(PostgresFaultTest, AConnectionThatWasKeptMayBreakWithoutAnybodyNoticing) {
  const std::string address = server().NewDatabase();
  const auto store = OpenWithTwoLayers(address);
  for (const StoreChange& change : ChangesOf(Layers())) {
    RunSql(address,
           "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
           " WHERE datname = current_database() AND pid <> pg_backend_pid()");
    EXPECT_THAT(change.apply(*store), IsOk()) << change.name;
  }
}

// A commit that waits for a standby has happened here already.
TEST_F(PostgresFaultTest, ACommitWhoseAnswerIsLostIsFoundOut) {
  const std::string address = server().NewDatabase();
  const auto store = OpenWithTwoLayers(address);
  for (const StoreChange& change : ChangesOf(Layers())) {
    SCOPED_TRACE(change.name);
    const Contents before = ContentsOf(*store);
    RunSql(address, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    RunSql(address, "SELECT pg_reload_conf()");
    auto status = std::async(std::launch::async, [&] { return change.apply(*store); });
    while (RunSql(address,
                  "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                  " WHERE datname = current_database() AND wait_event = 'SyncRep'") != "t") {
      if (status.wait_for(std::chrono::milliseconds(5)) == std::future_status::ready) break;
    }
    RunSql(address, "ALTER SYSTEM RESET synchronous_standby_names");
    RunSql(address, "SELECT pg_reload_conf()");
    EXPECT_THAT(status.get(), IsOk());
    EXPECT_NE(ContentsOf(*store), before);
  }
}

TEST_F(PostgresFaultTest, WhileTheServerIsAwayEverythingIsUnavailableAndWorksAgainAfterwards) {
  const auto store = OpenWithTwoLayers(server().NewDatabase());
  const Contents before = ContentsOf(*store);
  server().Stop();
  for (const StoreChange& change : ChangesOf(Layers())) {
    EXPECT_THAT(change.apply(*store), StatusIs(StatusCode::kUnavailable)) << change.name;
  }
  EXPECT_THAT(store->ReadIndex(), StatusIs(StatusCode::kUnavailable));
  EXPECT_THAT(store->ReadWeights(Layers().a()), StatusIs(StatusCode::kUnavailable));
  EXPECT_THAT(store->ReadTraining(Layers().b()), StatusIs(StatusCode::kUnavailable));

  server().Start();
  EXPECT_EQ(ContentsOf(*store), before);
  for (const StoreChange& change : ChangesOf(Layers()))
    EXPECT_THAT(change.apply(*store), IsOk()) << change.name;
}

TEST_F(PostgresFaultTest, ACrashOfTheServerLosesNothingThatWasAcknowledged) {
  const auto store = OpenWithTwoLayers(server().NewDatabase());
  std::atomic<int64_t> acknowledged = 1;
  std::atomic<bool> is_enough = false;
  auto writer = std::async(std::launch::async, [&] {
    while (!is_enough) {
      const int64_t next = acknowledged + 1;
      const Status status = Layers().PutStepOfB(*store, next);
      if (status.ok()) {
        acknowledged = next;
        acknowledged.notify_all();
      } else {
        ASSERT_THAT(status, StatusIs(StatusCode::kUnavailable));
      }
    }
  });
  for (int crash = 0; crash < 3; ++crash) {
    const int64_t enough = acknowledged + 20;
    for (int64_t now = acknowledged; now < enough; now = acknowledged) acknowledged.wait(now);
    server().Kill();
    server().Start();
  }
  is_enough = true;
  writer.wait();

  const StatusOr<Weights> weights = store->ReadWeights(Layers().b());
  ASSERT_THAT(weights, IsOk());
  EXPECT_EQ(Describe(*weights),
            Describe(RandomWeights(Layers().config, Layers().in_channels, acknowledged + 1)));
  const StatusOr<StoredTraining> training = store->ReadTraining(Layers().b());
  ASSERT_THAT(training, IsOk());
  EXPECT_EQ(Describe(training->state),
            Describe(RandomTraining(Layers().config, Layers().in_channels, acknowledged)));
}

TEST_F(PostgresFaultTest, AFeedSaysThatTheServerIsAwayAndThenTellsWhatItMissed) {
  const auto store = OpenWithTwoLayers(server().NewDatabase());
  const auto feed = store->Follow(store->ReadIndex()->revision);
  ASSERT_THAT(feed->Next(std::chrono::milliseconds(0)), IsOk());
  server().Stop();
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(feed->Next(std::chrono::milliseconds(1)), StatusIs(StatusCode::kUnavailable));
  }
  server().Start();
  ASSERT_THAT(CreateBuilt(*store, "new", Layers().config), IsOk());
  ASSERT_THAT(store->Delete("a"), IsOk());

  const StatusOr<StoreChanges> changes = feed->Next(std::chrono::minutes(10));
  ASSERT_THAT(changes, IsOk());
  ASSERT_EQ(changes->changed.layers.size(), 1u);
  EXPECT_EQ(changes->changed.layers[0].name, "new");
  ASSERT_TRUE(changes->living.has_value());
  EXPECT_EQ(changes->living->size(), 2u);
}

TEST_F(PostgresFaultTest, AServerThatDoesNotAnswerCountsAsAway) {
  const std::string address = server().NewDatabase();
  const auto store = OpenPostgresStore(address, {.answer_limit = std::chrono::seconds(1)}).value();
  ASSERT_THAT(CreateBuilt(*store, "a", Layers().config), IsOk());
  const auto feed = store->Follow(store->ReadIndex()->revision);
  ASSERT_THAT(feed->Next(std::chrono::milliseconds(0)), IsOk());
  {
    // Everybody waits for the lock, as they would for a server that hangs.
    SqlSession blocker(address);
    blocker.Run("BEGIN");
    blocker.Run("LOCK TABLE tconv.catalog IN ACCESS EXCLUSIVE MODE");
    auto change = std::async(std::launch::async, [&] { return store->Delete("a"); });
    EXPECT_THAT(feed->Next(std::chrono::milliseconds(0)), StatusIs(StatusCode::kUnavailable));
    while (change.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
      feed->Next(std::chrono::milliseconds(0)).IgnoreError();
    }
    EXPECT_THAT(change.get(), StatusIs(StatusCode::kUnavailable));
  }
  EXPECT_THAT(store->Delete("a"), IsOk());
  EXPECT_THAT(feed->Next(std::chrono::milliseconds(0)), IsOk());
}

TEST_F(PostgresFaultTest, AFeedWhoseConnectionIsCutTellsWhatHappenedSince) {
  const std::string address = server().NewDatabase();
  const auto store = OpenWithTwoLayers(address);
  const auto feed = store->Follow(store->ReadIndex()->revision);
  ASSERT_THAT(feed->Next(std::chrono::milliseconds(0)), IsOk());
  RunSql(address,
         "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
         " WHERE datname = current_database() AND pid <> pg_backend_pid()");
  ASSERT_THAT(CreateBuilt(*store, "new", Layers().config), IsOk());
  EXPECT_THAT(feed->Next(std::chrono::minutes(10)), StatusIs(StatusCode::kUnavailable));
  const StatusOr<StoreChanges> changes = feed->Next(std::chrono::minutes(10));
  ASSERT_THAT(changes, IsOk());
  EXPECT_EQ(changes->changed.layers.size(), 1u);
}

}  // namespace
}  // namespace tconv::server
