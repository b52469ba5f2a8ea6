#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/compute/strategies.h"
#include "tests/support/shape_table.h"
#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::tconv::testing::IsOk;
using ::tconv::testing::StatusIs;

class WeightStreamStrategyTest : public ::testing::Test {
 protected:
  Status SupportFor(const std::string& arguments) const {
    return strategy_->Supports(tconv::testing::ParseShapeRow("problem " + arguments).problem);
  }

 private:
  const std::unique_ptr<WorkerPool> pool_ = WorkerPool::Make(1).value();
  const std::unique_ptr<const Strategy> strategy_ = MakeWeightStreamStrategy(*pool_);
};

TEST_F(WeightStreamStrategyTest, TakesWhatItsCachesHold) {
  EXPECT_THAT(SupportFor("2x64x64x64 f=4 k=5 same"), IsOk());
}

TEST_F(WeightStreamStrategyTest, RefusesMoreOutputsThanCachesHold) {
  EXPECT_THAT(SupportFor("3x64x64x64 f=4 k=5 same"), StatusIs(StatusCode::kUnimplemented));
}

// Each tap would have a copy of nearly all inputs.
TEST_F(WeightStreamStrategyTest, RefusesKernelsAsLargeAsTheImage) {
  EXPECT_THAT(SupportFor("1x64x64x64 f=4 k=64 same"), StatusIs(StatusCode::kUnimplemented));
}

TEST_F(WeightStreamStrategyTest, RefusesFloat64) {
  EXPECT_THAT(SupportFor("1x4x4x64 f=4 k=3 dtype=float64"), StatusIs(StatusCode::kUnimplemented));
}

}  // namespace
}  // namespace tconv::server
