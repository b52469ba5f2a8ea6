#include "server/compute/planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "tests/support/status_matchers.h"
#include "tests/unit/compute/fake_strategy.h"

namespace tconv::server {
namespace {

using ::tconv::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

// A strategy of that name and estimated time; refuses with the reason, if any.
std::unique_ptr<const Strategy> MakeStrategy(const std::string& name, int64_t microseconds,
                                             const std::string& refusal = "") {
  return std::make_unique<FakeStrategy>(name, refusal, 0, nullptr, 0,
                                        std::chrono::microseconds(microseconds));
}

std::unique_ptr<const Planner> MakePlanner(const std::string& forced) {
  std::vector<std::unique_ptr<const Strategy>> strategies;
  strategies.push_back(MakeStrategy("picky", 1, "too many channels"));
  strategies.push_back(MakeStrategy("slow", 2500));
  strategies.push_back(MakeStrategy("good", 1200));
  strategies.push_back(MakeStrategy("as_good", 1200));
  return Planner::Make(std::move(strategies), forced).value();
}

TEST(PlannerTest, ChoosesTheFirstOfTheLeastEstimatedTime) {
  const auto planner = MakePlanner("");
  const StatusOr<PlanChoice> choice = planner->Choose(DeconvProblem());
  ASSERT_THAT(choice, tconv::testing::IsOk());
  EXPECT_EQ(choice->strategy->name(), "good");
}

TEST(PlannerTest, TellsWhatEveryCandidateSaid) {
  const auto planner = MakePlanner("");
  const auto verdicts = planner->Choose(DeconvProblem())->verdicts;
  ASSERT_EQ(verdicts.size(), 4u);
  EXPECT_EQ(verdicts[0].strategy, "picky");
  EXPECT_EQ(verdicts[0].reason, "too many channels");
  EXPECT_FALSE(verdicts[1].chosen);
  EXPECT_EQ(verdicts[1].reason, "estimated 2.5 ms");
  EXPECT_TRUE(verdicts[2].chosen);
  EXPECT_EQ(verdicts[2].reason, "estimated 1.2 ms, the least");
}

TEST(PlannerTest, UsesTheForcedStrategy) {
  const auto planner = MakePlanner("slow");
  const auto choice = planner->Choose(DeconvProblem());
  ASSERT_THAT(choice, tconv::testing::IsOk());
  EXPECT_EQ(choice->strategy->name(), "slow");
  EXPECT_EQ(choice->verdicts[1].reason, "estimated 2.5 ms, and forced");
}

TEST(PlannerTest, FailsWhenTheForcedStrategyRefuses) {
  const auto planner = MakePlanner("picky");
  EXPECT_THAT(planner->Choose(DeconvProblem()),
              StatusIs(StatusCode::kUnimplemented, HasSubstr("picky: too many channels")));
}

TEST(PlannerTest, RefusesToForceAnUnknownStrategy) {
  EXPECT_THAT(Planner::Make({}, "fast"), StatusIs(StatusCode::kInvalidArgument));
  std::vector<std::unique_ptr<const Strategy>> strategies;
  strategies.push_back(MakeStrategy("good", 1));
  EXPECT_THAT(Planner::Make(std::move(strategies), "fast"),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("strategy: "), HasSubstr("good"), HasSubstr("\"fast\""))));
}

}  // namespace
}  // namespace tconv::server
