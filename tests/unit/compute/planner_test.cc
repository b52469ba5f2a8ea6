#include "server/compute/planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"
#include "tests/unit/compute/fake_strategy.h"

namespace tconv::server {
namespace {

using ::tconv::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

DeconvProblem ProblemWithFilters(int64_t filters) {
  DeconvProblem problem;
  problem.out_channels = filters;
  problem.axes = {AxisGeometry{.in = 4, .out = 8, .kernel = 2, .stride = 2}};
  return problem;
}

std::unique_ptr<const Planner> MakePlanner(const std::string& forced) {
  std::vector<std::unique_ptr<const Strategy>> strategies;
  strategies.push_back(std::make_unique<FakeStrategy>("picky", "too many channels"));
  strategies.push_back(std::make_unique<FakeStrategy>("good", ""));
  strategies.push_back(std::make_unique<FakeStrategy>("plain", ""));
  return Planner::Make(std::move(strategies), forced).value();
}

TEST(PlannerTest, ChoosesTheFirstThatTakesTheProblem) {
  const auto planner = MakePlanner("");
  const StatusOr<PlanChoice> choice = planner->Choose(ProblemWithFilters(64));
  ASSERT_THAT(choice, tconv::testing::IsOk());
  EXPECT_EQ(choice->strategy->name(), "good");
}

TEST(PlannerTest, TellsWhatEveryCandidateSaid) {
  const auto planner = MakePlanner("");
  const auto verdicts = planner->Choose(ProblemWithFilters(64))->verdicts;
  ASSERT_EQ(verdicts.size(), 3u);
  EXPECT_EQ(verdicts[0].strategy, "picky");
  EXPECT_EQ(verdicts[0].reason, "too many channels");
  EXPECT_TRUE(verdicts[1].chosen);
  EXPECT_THAT(verdicts[1].reason, HasSubstr("first in the order of preference"));
  EXPECT_FALSE(verdicts[2].chosen);
  EXPECT_EQ(verdicts[2].reason, "good is preferred");
}

TEST(PlannerTest, PrefersOverlapAddWhereRowsFillLessThanAVector) {
  std::vector<std::unique_ptr<const Strategy>> strategies;
  strategies.push_back(std::make_unique<FakeStrategy>("first", ""));
  strategies.push_back(std::make_unique<FakeStrategy>("overlap_add", ""));
  const auto planner = Planner::Make(std::move(strategies), "").value();
  EXPECT_EQ(planner->Choose(ProblemWithFilters(8))->strategy->name(), "first");
  const auto thin = planner->Choose(ProblemWithFilters(7));
  ASSERT_THAT(thin, tconv::testing::IsOk());
  EXPECT_EQ(thin->strategy->name(), "overlap_add");
  EXPECT_THAT(thin->verdicts[1].reason, HasSubstr("14, less than the 16 lanes"));
}

TEST(PlannerTest, UsesTheForcedStrategy) {
  const auto planner = MakePlanner("plain");
  const auto choice = planner->Choose(ProblemWithFilters(64));
  ASSERT_THAT(choice, tconv::testing::IsOk());
  EXPECT_EQ(choice->strategy->name(), "plain");
  EXPECT_EQ(choice->verdicts[1].reason, "plain is forced");
}

TEST(PlannerTest, FailsWhenTheForcedStrategyRefuses) {
  const auto planner = MakePlanner("picky");
  EXPECT_THAT(planner->Choose(ProblemWithFilters(64)),
              StatusIs(StatusCode::kUnimplemented, HasSubstr("picky: too many channels")));
}

TEST(PlannerTest, RefusesToForceAnUnknownStrategy) {
  EXPECT_THAT(Planner::Make({}, "fast"), StatusIs(StatusCode::kInvalidArgument));
  std::vector<std::unique_ptr<const Strategy>> strategies;
  strategies.push_back(std::make_unique<FakeStrategy>("good", ""));
  EXPECT_THAT(Planner::Make(std::move(strategies), "fast"),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("strategy: "), HasSubstr("good"), HasSubstr("\"fast\""))));
}

}  // namespace
}  // namespace tconv::server
