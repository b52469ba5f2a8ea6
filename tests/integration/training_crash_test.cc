// kill -9 in the middle of training: weights and the state of the optimizer are always
// those of the same step, and no step is lost or made twice.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <tconv/client.h>

#include <chrono>
#include <cstdio>
#include <string>

#include "tests/support/crash_rounds.h"
#include "tests/support/small_training.h"
#include "tests/support/status_matchers.h"

namespace tconv::testing {
namespace {

constexpr int kMaxRounds = 20;
constexpr std::chrono::seconds kTimeLimit(20);
constexpr int kTrainers = 2;

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

  void Run(DoomedServer& server) {
    const Client client(server.target(), {.retry = {.attempts = 1}});
    for (;;) {
      asked_ = fmt::format("step {}", made_ + 1);
      const auto result = Ask(client);
      if (!result.ok()) {
        return server.NoteFailure(result.status());
      }
      EXPECT_EQ(result->iterations, ++made_);
      asked_.clear();
      server.NoteAnswer();
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

class TrainingCrashTest : public CrashRoundsTest<Trainer> {
 protected:
  void SetUp() override {
    for (int i = 0; i < kTrainers; ++i) workers_.emplace_back(i + 1);
    Serve([&](const std::string& target) {
      for (const Trainer& trainer : workers_) trainer.CreateLayer(Client(target));
    });
  }
};

TEST_F(TrainingCrashTest, WeightsAndStateAreOfOneStepAndNoneIsLostOrDoubled) {
  const int rounds = RunRounds(kMaxRounds, kTimeLimit, [&](const std::string& target) {
    for (Trainer& trainer : workers_) trainer.Verify(Client(target));
  });
  int64_t made = 0;
  for (const Trainer& trainer : workers_) made += trainer.made();
  std::printf("training crash: %d rounds of kill -9, %lld steps checked\n", rounds,
              static_cast<long long>(made));
}

}  // namespace
}  // namespace tconv::testing
