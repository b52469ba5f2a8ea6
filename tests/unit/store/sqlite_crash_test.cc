// kill -9 at any moment: what was acknowledged is there bit for bit, and nothing
// half-written is.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <random>
#include <string>

#include "server/store/memory_store.h"
#include "server/store/sqlite_store.h"
#include "tests/support/layer_config_builder.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/store/faulty_vfs.h"
#include "tests/unit/store/store_test_util.h"

namespace tconv::server {
namespace {

using testing::ChainOf;
using testing::Contents;
using testing::ContentsOf;
using testing::IsOk;
using testing::KeyOf;
using testing::MakeOptimizer;
using testing::RandomTraining;
using testing::RandomWeights;
using testing::Record;
using testing::WithSettings;

constexpr int kRounds = 100;
constexpr int kLayers = 3;
constexpr SqliteStoreOptions kOptions{.chunk_bytes = 50'000};

const LayerConfig& Config() {
  static const LayerConfig config = testing::LayerConfigBuilder().Filters(32).Build();
  return config;
}

// Step `i` of one endless history of a store, which depends on nothing but `i`:
// every layer is created, gets weights, is trained for some steps, is in a chain for a
// while, and is deleted.
struct Step {
  explicit Step(int i) : name(fmt::format("layer{}", i % kLayers)), phase(i / kLayers % kPhases) {}

  Status Apply(LayerStore& store) const {
    if (phase == 0) return store.Create(Record(name, Config()), nullptr).status();
    if (phase == kPhases - 1) return store.Delete(name);
    if (phase == kChain + 1) return store.DeleteChain(name + "'s chain");
    const LayerKey key = KeyOf(store, name);
    if (phase == kChain) return store.CreateChain(ChainOf(name + "'s chain", {key})).status();
    if (phase == kSettings) {
      LayerRecord settings = Record(name, Config());
      settings.id = key.id;
      return store.PutSettings(WithSettings(settings, true, MakeOptimizer({"Adam", {}})), nullptr,
                               0);
    }
    // From a page to several chunks.
    if (phase < kSettings) {
      return store.PutWeights(key, RandomWeights(Config(), 40 << (2 * phase), phase), phase - 1);
    }
    const int iterations = phase - kSettings;
    const int version = phase - 1;
    return store.PutStep(key, RandomWeights(Config(), kInChannels, version),
                         RandomTraining(Config(), kInChannels, iterations), {version - 1, 1});
  }

  // Weights, settings, steps, a chain.
  static constexpr int kSettings = 3;
  static constexpr int kChain = 6;
  static constexpr int kPhases = 9;
  static constexpr int64_t kInChannels = 40 << (2 * (kSettings - 1));

  std::string name;
  int phase;
};

// A process that takes steps from `first` on until it is killed, and says so
// after each of them with one byte.
class Writer {
 public:
  Writer(const std::string& path, int first) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    acknowledgements_ = ends[0];
    pid_ = fork();
    if (pid_ == 0) {
      close(ends[0]);
      _exit(Write(path, first, ends[1]));
    }
    close(ends[1]);
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() { close(acknowledgements_); }

  // Kills it `delay` after its first acknowledgement; returns the number of
  // acknowledged steps.
  int KillAfter(std::chrono::microseconds delay) {
    int count = static_cast<int>(ReadOne());
    const auto end = std::chrono::steady_clock::now() + delay;
    while (std::chrono::steady_clock::now() < end) {
      pollfd ready{.fd = acknowledgements_, .events = POLLIN, .revents = 0};
      if (poll(&ready, 1, 0) == 1) count += static_cast<int>(ReadOne());
    }
    kill(pid_, SIGKILL);
    int status = 0;
    EXPECT_EQ(waitpid(pid_, &status, 0), pid_);
    EXPECT_TRUE(WIFSIGNALED(status)) << "the writer failed by itself";
    while (ReadOne()) ++count;
    return count;
  }

 private:
  static int Write(const std::string& path, int first, int acknowledgements) {
    // Does not wait for the disk, which keeps what a killed process has written:
    // else nearly every kill would meet a process that waits.
    const testing::FaultyVfs without_sync;
    const auto store = OpenSqliteStore(path, kOptions);
    if (!store.ok()) return 1;
    for (int i = first;; ++i) {
      if (!Step(i).Apply(**store).ok()) return 1;
      if (write(acknowledgements, "+", 1) != 1) return 1;
    }
  }

  bool ReadOne() {
    char byte;
    return read(acknowledgements_, &byte, 1) == 1;
  }

  pid_t pid_ = -1;
  int acknowledgements_ = -1;
};

TEST(SqliteCrashTest, AKilledWriterLosesNothingAcknowledgedAndLeavesNothingHalfWritten) {
  const testing::TempFolder folder;
  const std::string path = folder / "db";
  std::mt19937 random(20'240'607);
  std::uniform_int_distribution<int> delay_us(0, 30'000);
  // Goes through the same history without being killed.
  MemoryStore expected(int64_t{1} << 30);
  int steps = 0;
  int steps_without_acknowledgement = 0;
  for (int round = 0; round < kRounds; ++round) {
    SCOPED_TRACE(fmt::format("round {}, from step {}", round, steps));
    const int acknowledged =
        Writer(path, steps).KillAfter(std::chrono::microseconds(delay_us(random)));
    for (const int end = steps + acknowledged; steps < end; ++steps) {
      ASSERT_THAT(Step(steps).Apply(expected), IsOk());
    }

    const auto store = OpenSqliteStore(path, kOptions);
    ASSERT_THAT(store, IsOk());
    const Contents found = ContentsOf(**store);
    if (found == ContentsOf(expected)) continue;
    // The step that was under way may have been completed, or not.
    ASSERT_THAT(Step(steps++).Apply(expected), IsOk());
    ++steps_without_acknowledgement;
    ASSERT_EQ(found, ContentsOf(expected));
  }
  RecordProperty("kills", kRounds);
  RecordProperty("acknowledged_steps", steps - steps_without_acknowledgement);
  RecordProperty("steps_without_acknowledgement", steps_without_acknowledgement);
}

}  // namespace
}  // namespace tconv::server
