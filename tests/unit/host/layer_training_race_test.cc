// Steps of a layer that others change at the same time.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <utility>

#include "tests/unit/host/pixel_training.h"

namespace tconv::server {
namespace {

using tconv::testing::IsOk;
using tconv::testing::IsStep;
using tconv::testing::LayerTrainingTest;
using tconv::testing::Sgd;
using tconv::testing::StatusIs;
using tconv::testing::ValueOf;
using ::testing::FloatEq;
using ::testing::HasSubstr;

// What others store between the reading and the storing of a step.
class RaceTest : public LayerTrainingTest {
 protected:
  void SetUp() override {
    LayerTrainingTest::SetUp();
    ASSERT_THAT(Optimize(Sgd(0.125)), IsOk());
  }

  // Once.
  void MeanwhileB(const std::function<void()>& action) {
    a_.link().BeforeSteps([this, action] {
      if (std::exchange(is_done_, true)) return;
      action();
    });
  }

  bool is_done_ = false;
};

TEST_F(RaceTest, AStepThatWasOvertakenIsComputedFromTheNewestWeights) {
  MeanwhileB([this] { ASSERT_THAT(b_.Set("up", 1), IsOk()); });
  const auto result = Learn(a_, 2, 4, {.return_output = true});
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->outcome.weights_version, 3);
  EXPECT_EQ(result->outcome.iterations, 1);
  EXPECT_EQ(ValueOf(*result->output), 2);
  EXPECT_EQ(result->loss, 4);
  EXPECT_THAT(KernelAt(3), FloatEq(1 + 0.125F * 4 * 2));
}

TEST_F(RaceTest, GivenGradientsAreAppliedToTheNewestWeights) {
  MeanwhileB([this] { ASSERT_THAT(Apply(b_, 8, 0), IsStep(2, 1)); });
  EXPECT_THAT(Apply(a_, 8, 0), IsStep(3, 2));
  EXPECT_THAT(KernelAt(3), FloatEq(1));
}

TEST_F(RaceTest, TheStepOfARequestThatCameTwiceIsMadeOnce) {
  MeanwhileB([this] { ASSERT_THAT(Apply(b_, 8, 0, {.step_id = "one"}), IsStep(2, 1)); });
  EXPECT_THAT(Apply(a_, 8, 0, {.step_id = "one"}), IsStep(2, 1, /*was_applied_before=*/true));
}

TEST_F(RaceTest, AStepForOneVersionIsAbortedWhenThatHasMoved) {
  MeanwhileB([this] { ASSERT_THAT(b_.Set("up", 1), IsOk()); });
  EXPECT_THAT(Apply(a_, 8, 0, {.if_version = 1}), StatusIs(StatusCode::kAborted));
  EXPECT_THAT(Apply(a_, 8, 0, {.if_version = 1}), StatusIs(StatusCode::kAborted));
  EXPECT_THAT(Apply(a_, 8, 0, {.if_version = 3}), StatusIs(StatusCode::kAborted));
  EXPECT_THAT(Apply(a_, 8, 0, {.if_version = 2}), IsStep(3, 1));
}

TEST_F(RaceTest, AnOptimizerThatWasReplacedMakesNoMoreSteps) {
  MeanwhileB([this] { ASSERT_THAT(b_.training().SetOptimizer("up", Sgd(0.25), {}), IsOk()); });
  EXPECT_THAT(Apply(a_, 8, 0), IsStep(2, 1));
  EXPECT_THAT(KernelAt(2), FloatEq(1));
}

TEST_F(RaceTest, AStepMadeWhileTheOptimizerIsReplacedKeepsItsName) {
  MeanwhileB([this] { ASSERT_THAT(Apply(b_, 8, 0, {.step_id = "one"}), IsStep(2, 1)); });
  ASSERT_THAT(a_.training().SetOptimizer("up", Sgd(0.25), {}), IsOk());
  EXPECT_THAT(Apply(a_, 8, 0, {.step_id = "one"}), IsStep(2, 1, /*was_applied_before=*/true));
  EXPECT_THAT(Apply(a_, 8, 0, {.step_id = "two"}), IsStep(3, 1));
}

TEST_F(RaceTest, ALayerThatWasFrozenMeanwhileStaysAsItIs) {
  MeanwhileB([this] { ASSERT_THAT(b_.training().SetTrainable("up", false), IsOk()); });
  EXPECT_THAT(Apply(a_, 8, 0), StatusIs(StatusCode::kFailedPrecondition, HasSubstr("frozen")));
  EXPECT_EQ(KernelAt(1), 3);
}

TEST_F(RaceTest, ALayerThatWasDeletedMeanwhileIsNotFound) {
  MeanwhileB([this] { ASSERT_THAT(b_.host().Delete("up"), IsOk()); });
  EXPECT_THAT(Apply(a_, 8, 0), StatusIs(StatusCode::kNotFound));
}

TEST_F(RaceTest, ALayerThatReplacedAnotherMeanwhileIsNotStepped) {
  MeanwhileB([this] {
    ASSERT_THAT(b_.host().Delete("up"), IsOk());
    ASSERT_THAT(b_.Create("up", 7), IsOk());
  });
  EXPECT_THAT(Apply(a_, 8, 0), StatusIs(StatusCode::kAborted));
  EXPECT_EQ(KernelAt(1), 7);
}

TEST_F(RaceTest, AStepThatLosesEveryRaceIsAborted) {
  a_.link().BeforeSteps([this] { ASSERT_THAT(b_.Set("up", 1), IsOk()); });
  EXPECT_THAT(Apply(a_, 8, 0), StatusIs(StatusCode::kAborted));
  EXPECT_EQ(KernelAt(1 + kMostTries), 1);
}

TEST_F(RaceTest, StepsAreUnavailableWhileTheStoreIsAway) {
  ASSERT_THAT(Apply(a_, 8, 0), IsStep(2, 1));
  a_.link().Cut();
  EXPECT_THAT(Apply(a_, 8, 0), StatusIs(StatusCode::kUnavailable));
  EXPECT_THAT(Backward(a_, 5, 2), IsOk());
}

}  // namespace
}  // namespace tconv::server
