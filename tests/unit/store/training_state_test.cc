#include "server/store/training_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/store/store_test_util.h"

namespace tconv::server {
namespace {

using ::testing::IsNull;
using ::testing::NotNull;

TEST(TrainingStateTest, RemembersTheLastSixteenSteps) {
  TrainingState state;
  constexpr int64_t kSteps = 50;
  for (int64_t i = 1; i <= kSteps; ++i) {
    state.AddStep({.step_id = std::to_string(i), .weights_version = i + 1, .iterations = i});
  }
  for (int64_t i = 1; i <= kSteps - 16; ++i)
    EXPECT_THAT(state.FindStep(std::to_string(i)), IsNull());
  for (int64_t i = kSteps - 15; i <= kSteps; ++i) {
    const StepRecord* const step = state.FindStep(std::to_string(i));
    ASSERT_THAT(step, NotNull());
    EXPECT_EQ(step->iterations, i);
  }
}

TEST(TrainingStateTest, ACopyIsEqualAndHasTensorsOfItsOwn) {
  const LayerConfig config = testing::LayerConfigBuilder().Build();
  const TrainingState state = testing::RandomTraining(config, 3, 1);
  const StatusOr<TrainingState> copy = CopyOf(state);
  ASSERT_TRUE(copy.ok());
  EXPECT_EQ(testing::Describe(*copy), testing::Describe(state));
  EXPECT_NE(copy->optimizer.slots.at(OptimizerSlot::kMomentum).kernel.view().data,
            state.optimizer.slots.at(OptimizerSlot::kMomentum).kernel.view().data);
}

}  // namespace
}  // namespace tconv::server
