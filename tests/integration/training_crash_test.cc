// kill -9 in the middle of training: weights and the state of the optimizer are always
// those of the same step, and no step is lost or made twice.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <tconv/client.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/server_process.h"
#include "tests/support/small_training.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace tconv::testing {
namespace {

constexpr int kMaxRounds = 20;
constexpr std::chrono::seconds kTimeLimit(20);
constexpr int kTrainers = 2;
constexpr int kEnoughAcks = 1'000'000;  // ends a round

// SGD that never slows down: with gradients of 1, step t has a momentum of -t, and the
// weights are -(1 + 2 + ... + t).
NewOptimizer Accelerating() { return Sgd(1, 1); }

float ValueOf(const Tensor& tensor) { return (*tensor.values<float>())[0]; }

// Trains a layer of its own until the server dies.
class Trainer {
 public:
  explicit Trainer(int index) : layer_(fmt::format("layer{}", index)) {}

  void CreateLayer(const Client& client) const {
    ASSERT_THAT(client.Create(SmallLayer(layer_, 0)), IsOk());
    ASSERT_THAT(client.SetOptimizer(layer_, Accelerating()), IsOk());
  }

  void Run(const std::string& target, const std::atomic<bool>& killed, std::atomic<int>& acks) {
    const Client client(target, {.retry = {.attempts = 1}});
    for (;;) {
      asked_ = fmt::format("step {}", made_ + 1);
      const auto result = Ask(client);
      if (!result.ok()) {
        EXPECT_TRUE(killed) << result.status();
        if (!killed) acks += kEnoughAcks;
        return;
      }
      EXPECT_EQ(result->iterations, ++made_);
      asked_.clear();
      ++acks;
    }
  }

  // The step without an answer was made or not; asked for again, it has been made.
  void Verify(const Client& client) {
    ExpectState(client);
    if (!asked_.empty()) {
      const auto again = Ask(client);
      ASSERT_THAT(again, IsOk());
      EXPECT_EQ(again->iterations, made_ + 1);
      ++made_;
    }
    EXPECT_EQ(ExpectState(client), made_);
  }

  int64_t made() const { return made_; }

 private:
  absl::StatusOr<StepResult> Ask(const Client& client) const {
    if (made_ % 2 == 0) {
      return client.ApplyGradients(layer_, {Filled({2, 2, 4, 3}, 1), Filled({4}, 1)},
                                   {.step_id = asked_});
    }
    // Every weight of the kernel meets four inputs.
    const auto result = client.TrainStep(layer_, SmallInput(), Upstream{Filled({1, 4, 4, 4}, 0.25)},
                                         {.step_id = asked_});
    if (!result.ok()) return result.status();
    return result->step;
  }

  // Returns the steps that were made.
  int64_t ExpectState(const Client& client) const {
    const auto status = client.GetOptimizer(layer_);
    const auto stored = client.GetWeights(layer_);
    EXPECT_THAT(status, IsOk());
    EXPECT_THAT(stored, IsOk());
    if (!status.ok() || !stored.ok()) return -1;
    const int64_t steps = status->iterations;
    EXPECT_GE(steps, made_);
    EXPECT_LE(steps, made_ + (asked_.empty() ? 0 : 1));
    EXPECT_EQ(stored->version, 1 + steps);
    EXPECT_EQ(ValueOf(stored->weights.kernel), -static_cast<float>(steps * (steps + 1) / 2));
    if (steps > 0) {
      EXPECT_EQ(ValueOf(status->slots.momentum->kernel), -static_cast<float>(steps));
    }
    return steps;
  }

  const std::string layer_;
  std::string asked_;  // the step without an answer; empty: none
  int64_t made_ = 0;
};

class TrainingCrashTest : public ::testing::Test {
 protected:
  TrainingCrashTest() {
    for (int i = 0; i < kTrainers; ++i) trainers_.emplace_back(i + 1);
  }

  void SetUp() override {
    ServerProcess server({store_});
    ASSERT_FALSE(server.target().empty()) << server.log();
    for (const Trainer& trainer : trainers_) trainer.CreateLayer(Client(server.target()));
    server.Signal(SIGTERM);
    EXPECT_EQ(server.Wait(), 0) << server.log();
  }

  // Lets all train, and kills the server after some steps.
  void TrainAndKill(int acks_before_the_kill) {
    ServerProcess server({store_});
    ASSERT_FALSE(server.target().empty()) << server.log();
    std::atomic<bool> killed = false;
    std::atomic<int> acks = 0;
    std::vector<std::thread> threads;
    for (Trainer& trainer : trainers_) {
      threads.emplace_back([&] { trainer.Run(server.target(), killed, acks); });
    }
    while (acks < acks_before_the_kill) std::this_thread::yield();
    killed = true;
    server.Signal(SIGKILL);
    EXPECT_EQ(server.Wait(), 128 + SIGKILL);
    for (std::thread& thread : threads) thread.join();
  }

  void RestartAndVerify() {
    ServerProcess server({store_});
    ASSERT_FALSE(server.target().empty()) << server.log();
    for (Trainer& trainer : trainers_) trainer.Verify(Client(server.target()));
    server.Signal(SIGTERM);
    EXPECT_EQ(server.Wait(), 0) << server.log();
  }

  const TempFolder folder_;
  const std::string store_ = fmt::format("--store=sqlite:{}", folder_ / "layers.db");
  std::vector<Trainer> trainers_;
};

TEST_F(TrainingCrashTest, WeightsAndStateAreOfOneStepAndNoneIsLostOrDoubled) {
  const auto end = std::chrono::steady_clock::now() + kTimeLimit;
  std::minstd_rand random(1);
  int rounds = 0;
  for (; rounds < kMaxRounds && !HasFailure(); ++rounds) {
    if (rounds > 0 && std::chrono::steady_clock::now() > end) break;
    ASSERT_NO_FATAL_FAILURE(TrainAndKill(static_cast<int>(random() % 30)));
    ASSERT_NO_FATAL_FAILURE(RestartAndVerify());
  }
  int64_t made = 0;
  for (const Trainer& trainer : trainers_) made += trainer.made();
  std::printf("training crash: %d rounds of kill -9, %lld steps checked\n", rounds,
              static_cast<long long>(made));
}

}  // namespace
}  // namespace tconv::testing
