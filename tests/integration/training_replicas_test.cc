// One layer that is trained through several servers over one PostgreSQL.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/client.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/postgres_server.h"
#include "tests/support/small_training.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_server.h"

namespace tconv::testing {
namespace {

using absl::StatusCode;
using std::chrono::milliseconds;
using ::testing::Each;
using ::testing::FloatEq;

Weights Gradients() { return {Filled({2, 2, 4, 3}, 1), Filled({4}, 0)}; }

class TrainingReplicasTest : public ::testing::Test {
 protected:
  static constexpr size_t kReplicas = 2;

  static void SetUpTestSuite() { database_ = std::make_unique<PostgresServer>(); }
  static void TearDownTestSuite() { database_.reset(); }

  TrainingReplicasTest() {
    for (size_t i = 0; i < kReplicas; ++i) {
      server::ServerOptions options;
      options.store = address_;
      servers_.push_back(TestServer::Start(options));
      clients_.emplace_back(
          servers_.back()->target(),
          ClientOptions{.retry = {.attempts = 1000, .max_delay = milliseconds(100)}});
    }
  }
  void SetUp() override { ASSERT_THAT(clients_[0].Create(SmallLayer("up", 0)), IsOk()); }

  const Client& client(int64_t step) const {
    return clients_[static_cast<size_t>(step) % kReplicas];
  }

  static std::unique_ptr<PostgresServer> database_;
  const std::string address_ = database_->NewDatabase();
  std::vector<std::unique_ptr<TestServer>> servers_;
  std::vector<Client> clients_;
};

std::unique_ptr<PostgresServer> TrainingReplicasTest::database_;

// With a momentum of 1 and gradients of 1 the weights are -(1 + 2 + ... + steps).
TEST_F(TrainingReplicasTest, TheStateOfTheOptimizerIsWhereverTheNextStepIs) {
  ASSERT_THAT(clients_[0].SetOptimizer("up", Sgd(1, 1)), IsOk());
  for (int64_t step = 1; step <= 20; ++step) {
    const auto made = client(step).ApplyGradients("up", Gradients(), {.if_version = step});
    ASSERT_THAT(made, IsOk());
    EXPECT_EQ(made->iterations, step);
    const auto served = client(step + 1).Forward("up", SmallInput(), {.min_version = 1 + step});
    ASSERT_THAT(served, IsOk());
    EXPECT_THAT(*served->output.values<float>(),
                Each(FloatEq(-3 * static_cast<float>(step * (step + 1) / 2))));
  }
  for (const Client& client : clients_) {
    const auto status = client.GetOptimizer("up");
    ASSERT_THAT(status, IsOk());
    EXPECT_THAT(*status->slots.momentum->kernel.values<float>(), Each(-20));
  }
}

TEST_F(TrainingReplicasTest, TrainersOfSeveralReplicasMakeEachOfTheirStepsOnce) {
  ASSERT_THAT(clients_[0].SetOptimizer("up", Sgd(1, 0)), IsOk());
  constexpr int64_t kSteps = 20;
  std::vector<std::thread> trainers;
  for (const Client& client : clients_) {
    trainers.emplace_back([&client] {
      for (int64_t made = 0; made < kSteps;) {
        const auto step = client.ApplyGradients("up", Gradients());
        // Against so many others it may lose every race.
        if (step.status().code() == StatusCode::kAborted) continue;
        ASSERT_THAT(step, IsOk());
        ++made;
      }
    });
  }
  for (std::thread& trainer : trainers) trainer.join();
  constexpr int64_t kMade = kReplicas * kSteps;
  EXPECT_EQ(clients_[0].GetOptimizer("up")->iterations, kMade);
  // The other replica may still serve what was before the last steps.
  ASSERT_THAT(clients_[1].Forward("up", SmallInput(), {.min_version = 1 + kMade}), IsOk());
  const auto stored = clients_[1].GetWeights("up");
  ASSERT_THAT(stored, IsOk());
  EXPECT_THAT(*stored->weights.kernel.values<float>(), Each(-static_cast<float>(kMade)));
}

TEST_F(TrainingReplicasTest, AStepIsKnownByItsNameEverywhere) {
  ASSERT_THAT(clients_[0].SetOptimizer("up", Sgd(1, 0)), IsOk());
  ASSERT_THAT(clients_[0].ApplyGradients("up", Gradients(), {.step_id = "one"}), IsOk());
  const auto again = clients_[1].ApplyGradients("up", Gradients(), {.step_id = "one"});
  ASSERT_THAT(again, IsOk());
  EXPECT_TRUE(again->already_applied);
  EXPECT_EQ(again->weights_version, 2);
}

TEST_F(TrainingReplicasTest, SettingsAreThoseOfTheLayerEverywhere) {
  ASSERT_THAT(clients_[0].SetOptimizer("up", Sgd(1, 0)), IsOk());
  ASSERT_THAT(clients_[1].SetTrainable("up", false), IsOk());
  EXPECT_THAT(clients_[0].ApplyGradients("up", Gradients()),
              StatusIs(StatusCode::kFailedPrecondition));
  ASSERT_THAT(clients_[0].SetTrainable("up", true), IsOk());
  EXPECT_THAT(clients_[1].ApplyGradients("up", Gradients()), IsOk());
}

}  // namespace
}  // namespace tconv::testing
