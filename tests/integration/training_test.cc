// Layers that learn, through a real client against a real server.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/client.h>

#include <future>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/muted_link.h"
#include "tests/support/small_training.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_server.h"

namespace tconv::testing {
namespace {

using absl::StatusCode;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::FloatEq;
using ::testing::FloatNear;
using ::testing::IsNan;
using ::testing::StartsWith;

class TrainingTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_THAT(client_.Create(SmallLayer("up", 1)), IsOk()); }

  void Optimize(const NewOptimizer& optimizer = Sgd(0.125)) {
    ASSERT_THAT(client_.SetOptimizer("up", optimizer), IsOk());
  }

  float KernelAt(int64_t version) const {
    const auto stored = client_.GetWeights("up");
    EXPECT_THAT(stored, IsOk());
    EXPECT_EQ(stored->version, version);
    const auto kernel = *stored->weights.kernel.values<float>();
    EXPECT_THAT(kernel, Each(FloatEq(kernel[0])));
    return kernel[0];
  }

  const std::unique_ptr<TestServer> server_ = TestServer::Start();
  const Client client_{server_->target()};
};

TEST_F(TrainingTest, BackwardAnswersTheGradients) {
  const auto result = client_.Backward("up", SmallInput(), OnesUpstream());
  ASSERT_THAT(result, IsOk());
  EXPECT_THAT(result->input_gradient->shape(), ElementsAre(1, 2, 2, 3));
  EXPECT_THAT(*result->input_gradient->values<float>(), Each(16));
  EXPECT_THAT(result->weight_gradients->kernel.shape(), ElementsAre(2, 2, 4, 3));
  EXPECT_THAT(*result->weight_gradients->kernel.values<float>(), Each(4));
  EXPECT_THAT(*result->weight_gradients->bias->values<float>(), Each(16));
  ASSERT_TRUE(result->timing.has_value());
  EXPECT_GT(result->timing->compute.count(), 0);
}

TEST_F(TrainingTest, ALayerLearnsItsTarget) {
  Optimize(Sgd(0.5));
  double loss = std::numeric_limits<double>::infinity();
  for (int step = 1; step <= 15; ++step) {
    const auto result = client_.TrainStep("up", SmallInput(), Target(2));
    ASSERT_THAT(result, IsOk());
    ASSERT_LT(*result->loss, loss) << step;
    loss = *result->loss;
  }
  EXPECT_LT(loss, 1e-4);
  const auto output = client_.Forward("up", SmallInput());
  ASSERT_THAT(output, IsOk());
  EXPECT_THAT(*output->output.values<float>(), Each(FloatNear(2, 0.02F)));
}

TEST_F(TrainingTest, AStepAnswersWhatItIsAskedFor) {
  Optimize();
  const auto result = client_.TrainStep(
      "up", SmallInput(), Upstream{OnesUpstream()},
      {.learning_rate = 0.25, .return_output = true, .return_input_gradient = true});
  ASSERT_THAT(result, IsOk());
  EXPECT_FALSE(result->loss.has_value());
  EXPECT_THAT(*result->output->values<float>(), Each(3));
  EXPECT_THAT(*result->input_gradient->values<float>(), Each(16));
  EXPECT_EQ(KernelAt(2), 0);
}

TEST_F(TrainingTest, TheLayerTellsHowItIsTrained) {
  EXPECT_FALSE(client_.Get("up")->has_optimizer());
  Optimize();
  const auto layer = client_.SetTrainable("up", false);
  ASSERT_THAT(layer, IsOk());
  EXPECT_EQ(layer->optimizer().name(), "SGD");
  EXPECT_FALSE(layer->config().trainable());
  const auto listed = client_.ListAll();
  ASSERT_THAT(listed, IsOk());
  EXPECT_EQ(listed->front().optimizer().name(), "SGD");
  EXPECT_FALSE(listed->front().config().trainable());
}

TEST_F(TrainingTest, TheStateOfAnOptimizerMovesToAnotherLayer) {
  EXPECT_THAT(client_.SetOptimizer(
                  "up", {.definition =
                             KerasJson{R"({"class_name": "Adam", "config": {"amsgrad": true}})"}}),
              IsOk());
  ASSERT_THAT(client_.TrainStep("up", SmallInput(), Target(2)), IsOk());
  const auto status = client_.GetOptimizer("up");
  ASSERT_THAT(status, IsOk());
  EXPECT_EQ(status->iterations, 1);
  EXPECT_EQ(status->weights_version, 2);
  ASSERT_TRUE(status->slots.velocity_hat.has_value());

  ASSERT_THAT(client_.Create({.name = "copy",
                              .definition = SmallConfig(),
                              .weights = client_.GetWeights("up")->weights}),
              IsOk());
  ASSERT_THAT(client_.SetOptimizer("copy", {.definition = status->optimizer,
                                            .iterations = status->iterations,
                                            .slots = status->slots}),
              IsOk());
  ASSERT_THAT(client_.TrainStep("up", SmallInput(), Target(2)), IsOk());
  ASSERT_THAT(client_.TrainStep("copy", SmallInput(), Target(2)), IsOk());
  EXPECT_EQ(client_.GetWeights("up")->weights.kernel.bytes(),
            client_.GetWeights("copy")->weights.kernel.bytes());
  EXPECT_EQ(client_.GetOptimizer("copy")->iterations, 2);
}

TEST_F(TrainingTest, BackwardWaitsForAVersion) {
  Optimize();
  auto waiting = std::async(std::launch::async, [&] {
    return client_.Backward("up", SmallInput(), OnesUpstream(), {.min_version = 2});
  });
  ASSERT_THAT(client_.TrainStep("up", SmallInput(), Target(2)), IsOk());
  const auto result = waiting.get();
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->weights_version, 2);
}

TEST_F(TrainingTest, AStepForAnotherVersionIsAborted) {
  Optimize();
  for (const int64_t version : {-1, 0, 2, 99}) {
    EXPECT_THAT(client_.TrainStep("up", SmallInput(), Target(2), {.if_version = version}),
                StatusIs(StatusCode::kAborted));
  }
  EXPECT_THAT(client_.TrainStep("up", SmallInput(), Target(2), {.if_version = 1}), IsOk());
}

TEST_F(TrainingTest, WeightsThatAreSetLeaveTheStateOfTheOptimizer) {
  Optimize(Sgd(0.25, 0.5));
  ASSERT_THAT(client_.TrainStep("up", SmallInput(), Upstream{OnesUpstream()}), IsOk());
  ASSERT_THAT(client_.SetWeights("up", SmallWeights(10)), IsOkAndHolds(3));
  const auto status = client_.GetOptimizer("up");
  ASSERT_THAT(status, IsOk());
  EXPECT_EQ(status->iterations, 1);
  EXPECT_THAT(*status->slots.momentum->kernel.values<float>(), Each(-1));
  ASSERT_THAT(client_.TrainStep("up", SmallInput(), Upstream{OnesUpstream()}), IsOk());
  EXPECT_EQ(KernelAt(4), 10 - 1 - 0.5);
}

TEST_F(TrainingTest, StepsOfManyTrainersAreAllMadeWhileOthersAreServed) {
  Optimize(Sgd(1.0 / 1024));
  constexpr int kTrainers = 4;
  constexpr int kSteps = 25;
  std::vector<std::thread> trainers;
  for (int trainer = 0; trainer < kTrainers; ++trainer) {
    trainers.emplace_back([&, trainer] {
      const Weights gradients = SmallWeights(1);
      for (int step = 0; step < kSteps; ++step) {
        if (trainer % 2 == 0) {
          ASSERT_THAT(client_.ApplyGradients("up", gradients), IsOk());
        } else {
          ASSERT_THAT(client_.TrainStep("up", SmallInput(), Upstream{Filled({1, 4, 4, 4}, 0.25)}),
                      IsOk());
        }
        ASSERT_THAT(client_.Forward("up", SmallInput()), IsOk());
      }
    });
  }
  for (std::thread& trainer : trainers) trainer.join();
  constexpr int64_t kMade = kTrainers * kSteps;
  EXPECT_EQ(client_.GetOptimizer("up")->iterations, kMade);
  EXPECT_FLOAT_EQ(KernelAt(1 + kMade), 1 - kMade / 1024.0F);
}

// Whatever was lost, the request that comes again finds the step made.
TEST_F(TrainingTest, AStepWhoseAnswerIsLostIsMadeOnce) {
  Optimize();
  MutedLink link(server_->target());
  const Client far(link.target());
  ASSERT_THAT(far.Forward("up", SmallInput()), IsOk());
  for (int64_t step = 1; step <= 4; ++step) {
    link.Mute();
    auto asked = std::async(std::launch::async, [&]() -> absl::StatusOr<StepResult> {
      if (step % 2 == 0) return far.ApplyGradients("up", SmallWeights(1));
      auto result = far.TrainStep("up", SmallInput(), Target(2), {.return_output = true});
      if (!result.ok()) return result.status();
      EXPECT_TRUE(result->loss.has_value());
      EXPECT_FALSE(result->output.has_value());
      return result->step;
    });
    while (client_.Get("up")->weights_version() == step) std::this_thread::yield();
    link.Break();
    const auto result = asked.get();
    ASSERT_THAT(result, IsOk());
    EXPECT_TRUE(result->already_applied);
    EXPECT_EQ(result->weights_version, 1 + step);
    EXPECT_EQ(result->iterations, step);
  }
  EXPECT_EQ(client_.GetOptimizer("up")->iterations, 4);
}

TEST_F(TrainingTest, NotANumberIsLearnedLikeANumber) {
  Optimize();
  ASSERT_THAT(
      client_.TrainStep("up", SmallInput(), Target(std::numeric_limits<float>::quiet_NaN())),
      IsOk());
  const auto output = client_.Forward("up", SmallInput());
  ASSERT_THAT(output, IsOk());
  EXPECT_THAT(*output->output.values<float>(), Each(IsNan()));
}

TEST_F(TrainingTest, AnEmptyBatchHasGradientsOfZeroAndTeachesNothing) {
  Optimize();
  const Tensor nothing = Filled({0, 2, 2, 3}, 1);
  const auto result = client_.Backward("up", nothing, Filled({0, 4, 4, 4}, 1));
  ASSERT_THAT(result, IsOk());
  EXPECT_THAT(result->input_gradient->shape(), ElementsAre(0, 2, 2, 3));
  EXPECT_THAT(*result->weight_gradients->kernel.values<float>(), Each(0));
  EXPECT_THAT(client_.TrainStep("up", nothing, Upstream{Filled({0, 4, 4, 4}, 1)}),
              StatusIs(StatusCode::kInvalidArgument, StartsWith("input.shape: ")));
}

}  // namespace
}  // namespace tconv::testing
