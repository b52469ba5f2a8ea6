#include "server/compute/backward_plan_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "tests/support/shape_table.h"
#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::tconv::testing::IsOk;
using ::tconv::testing::ParseShapeRow;
using ::tconv::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

class EmptyPlan final : public BackwardPlan {
 public:
  Status Execute(const BackwardArguments&, BlockPool&) const override { return OkStatus(); }
  int64_t bytes_held() const override { return 1 << 20; }
};

class FakeBackwardStrategy final : public BackwardStrategy {
 public:
  // Refuses every problem when `refusal` is not empty.
  FakeBackwardStrategy(std::string name, std::chrono::microseconds time, std::string refusal)
      : name_(std::move(name)), time_(time), refusal_(std::move(refusal)) {}

  std::string_view name() const override { return name_; }
  Status Supports(const DeconvProblem&) const override {
    return refusal_.empty() ? OkStatus() : Status(StatusCode::kUnimplemented, refusal_);
  }
  std::chrono::nanoseconds EstimatedTime(const DeconvProblem&) const override { return time_; }
  StatusOr<std::unique_ptr<const BackwardPlan>> Compile(const DeconvProblem&) const override {
    return std::make_unique<const EmptyPlan>();
  }

 private:
  const std::string name_;
  const std::chrono::microseconds time_;
  const std::string refusal_;
};

BackwardPlanner MakePlanner(const std::string& refusal_of_all = "") {
  std::vector<std::unique_ptr<const BackwardStrategy>> strategies;
  const auto add = [&](const char* name, int microseconds, const std::string& refusal) {
    strategies.push_back(std::make_unique<const FakeBackwardStrategy>(
        name, std::chrono::microseconds(microseconds), refusal));
  };
  add("picky", 1, "too many channels");
  add("slow", 2500, refusal_of_all);
  add("good", 1200, refusal_of_all);
  return BackwardPlanner(std::move(strategies));
}

DeconvProblem Problem(const char* line) { return ParseShapeRow(line).problem; }

TEST(BackwardPlannerTest, ChoosesTheLeastEstimatedTimeAndTellsWhatAllSaid) {
  const BackwardPlanner planner = MakePlanner();
  const StatusOr<BackwardChoice> choice = planner.Choose(DeconvProblem());
  ASSERT_THAT(choice, IsOk());
  EXPECT_EQ(choice->strategy->name(), "good");
  ASSERT_EQ(choice->verdicts.size(), 3u);
  EXPECT_EQ(choice->verdicts[0].reason, "too many channels");
  EXPECT_EQ(choice->verdicts[1].reason, "estimated 2.5 ms");
  EXPECT_EQ(choice->verdicts[2].reason, "estimated 1.2 ms, the least");
  EXPECT_TRUE(choice->verdicts[2].chosen);
}

TEST(BackwardPlannerTest, SaysWhyNoStrategyTakesTheProblem) {
  EXPECT_THAT(MakePlanner("too deep").Choose(DeconvProblem()),
              StatusIs(StatusCode::kUnimplemented,
                       AllOf(HasSubstr("picky: too many channels"), HasSubstr("slow: too deep"))));
}

TEST(BackwardPlanCacheTest, ProblemsThatDifferInBiasAndActivationShareAPlan) {
  const BackwardPlanner planner = MakePlanner();
  BackwardPlanCache cache(planner);
  const auto plain = cache.GetOrCompile(Problem("a 1x5x2 f=3 k=3 nobias"));
  const auto activated = cache.GetOrCompile(Problem("b 1x5x2 f=3 k=3 act=relu"));
  ASSERT_THAT(plain, IsOk());
  ASSERT_THAT(activated, IsOk());
  EXPECT_EQ(*plain, *activated);
  EXPECT_EQ((*plain)->strategy->name(), "good");
  EXPECT_EQ(cache.facts().builds, 1);
}

TEST(BackwardPlanCacheTest, OtherShapesHavePlansOfTheirOwn) {
  const BackwardPlanner planner = MakePlanner();
  BackwardPlanCache cache(planner);
  ASSERT_THAT(cache.GetOrCompile(Problem("a 1x5x2 f=3 k=3")), IsOk());
  ASSERT_THAT(cache.GetOrCompile(Problem("a 1x6x2 f=3 k=3")), IsOk());
  EXPECT_EQ(cache.facts().builds, 2);
}

TEST(BackwardPlanCacheTest, PlansGoWhereThereIsNoRoomForThem) {
  const BackwardPlanner planner = MakePlanner();
  BackwardPlanCache cache(planner, (1 << 20) + (1 << 19));
  ASSERT_THAT(cache.GetOrCompile(Problem("a 1x5x2 f=3 k=3")), IsOk());
  ASSERT_THAT(cache.GetOrCompile(Problem("a 1x6x2 f=3 k=3")), IsOk());
  EXPECT_EQ(cache.facts().entries, 1);
  EXPECT_EQ(cache.facts().evictions, 1);
}

TEST(BackwardPlanCacheTest, AnErrorIsNotKept) {
  const BackwardPlanner planner = MakePlanner("too deep");
  BackwardPlanCache cache(planner);
  EXPECT_THAT(cache.GetOrCompile(Problem("a 1x5x2 f=3 k=3")), StatusIs(StatusCode::kUnimplemented));
  EXPECT_EQ(cache.facts().entries, 0);
}

}  // namespace
}  // namespace tconv::server
