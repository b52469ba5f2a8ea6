#include "server/compute/plan_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/support/shape_table.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/compute/fake_strategy.h"

namespace tconv::server {
namespace {

constexpr int64_t kPlanBytes = 1 << 20;

class PlanCacheTest : public ::testing::Test {
 protected:
  // Room for three plans.
  PlanCacheTest() : cache_(*planner_, 3 * kPlanBytes + kPlanBytes / 2) {}

  static DeconvProblem Problem(int length) {
    return tconv::testing::ParseShapeRow(fmt::format("p 1x{}x2 f=3 k=3", length)).problem;
  }

  std::unique_ptr<const Planner> MakePlanner() {
    std::vector<std::unique_ptr<const Strategy>> strategies;
    strategies.push_back(std::make_unique<FakeStrategy>("fake", "", kPlanBytes, &compilations_));
    return Planner::Make(std::move(strategies), "").value();
  }

  void Compile(int length, const std::shared_ptr<const Weights>& weights) {
    ASSERT_THAT(cache_.GetOrCompile(Problem(length), weights), tconv::testing::IsOk());
  }

  std::atomic<int> compilations_ = 0;
  const std::unique_ptr<const Planner> planner_ = MakePlanner();
  PlanCache cache_;
  const std::shared_ptr<const Weights> weights_ = std::make_shared<Weights>();
  const std::shared_ptr<const Weights> other_weights_ = std::make_shared<Weights>();
};

TEST_F(PlanCacheTest, CompilesAProblemOnce) {
  Compile(5, weights_);
  Compile(5, weights_);
  EXPECT_EQ(compilations_, 1);
}

TEST_F(PlanCacheTest, CompilesForEachProblemAndEachWeights) {
  Compile(5, weights_);
  Compile(6, weights_);
  Compile(5, other_weights_);
  EXPECT_EQ(compilations_, 3);
}

TEST_F(PlanCacheTest, TellsWhichStrategyWasChosen) {
  const auto cached = cache_.GetOrCompile(Problem(5), weights_);
  ASSERT_THAT(cached, tconv::testing::IsOk());
  ASSERT_EQ((*cached)->verdicts.size(), 1u);
  EXPECT_TRUE((*cached)->verdicts[0].chosen);
  EXPECT_EQ((*cached)->problem, Problem(5));
}

TEST_F(PlanCacheTest, FindsOnlyWhatIsCompiled) {
  EXPECT_EQ(cache_.Find(Problem(5), weights_), nullptr);
  const auto compiled = cache_.GetOrCompile(Problem(5), weights_).value();
  EXPECT_EQ(cache_.Find(Problem(5), weights_), compiled);
  EXPECT_EQ(cache_.Find(Problem(5), other_weights_), nullptr);
  EXPECT_EQ(compilations_, 1);
}

TEST_F(PlanCacheTest, KeepsTheLeastOfTheTimesThatItIsTold) {
  const auto plan = cache_.GetOrCompile(Problem(5), weights_).value();
  EXPECT_EQ(plan->least_time.value(), std::chrono::nanoseconds(0));
  for (const int microseconds : {7, 3, 5}) {
    plan->least_time.Record(std::chrono::microseconds(microseconds));
  }
  EXPECT_EQ(cache_.Find(Problem(5), weights_)->least_time.value(), std::chrono::microseconds(3));
}

TEST(PinnedPlanTest, IsComputedByThatStrategyAndKeptBesideThePlannersChoice) {
  std::atomic<int> slow_compilations = 0;
  std::vector<std::unique_ptr<const Strategy>> strategies;
  strategies.push_back(std::make_unique<FakeStrategy>("fast", ""));
  strategies.push_back(std::make_unique<FakeStrategy>("slow", "", 0, &slow_compilations, 0,
                                                      std::chrono::seconds(1)));
  const Strategy* slow = strategies[1].get();
  const auto planner = Planner::Make(std::move(strategies), "").value();
  PlanCache cache(*planner, kPlanBytes);
  const auto weights = std::make_shared<const Weights>();
  const DeconvProblem problem;
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(cache.GetOrCompile(problem, weights).value()->strategy->name(), "fast");
    const auto pinned = cache.GetOrCompile(problem, weights, slow).value();
    EXPECT_EQ(pinned->strategy, slow);
    EXPECT_TRUE(pinned->verdicts[1].chosen);
  }
  EXPECT_EQ(slow_compilations, 1);
}

TEST(PinnedPlanTest, IsAnErrorWhenThatStrategyDoesNotTakeTheProblem) {
  std::vector<std::unique_ptr<const Strategy>> strategies;
  strategies.push_back(std::make_unique<FakeStrategy>("fast", ""));
  strategies.push_back(std::make_unique<FakeStrategy>("picky", "too large"));
  const Strategy* picky = strategies[1].get();
  const auto planner = Planner::Make(std::move(strategies), "").value();
  PlanCache cache(*planner, kPlanBytes);
  EXPECT_THAT(cache.GetOrCompile(DeconvProblem(), std::make_shared<const Weights>(), picky),
              tconv::testing::StatusIs(StatusCode::kUnimplemented, ::testing::HasSubstr("picky")));
}

TEST_F(PlanCacheTest, EvictsByBytes) {
  for (int length = 1; length <= 5; ++length) Compile(length, weights_);
  EXPECT_GT(cache_.bytes_held(), 3 * kPlanBytes);
  EXPECT_LT(cache_.bytes_held(), 4 * kPlanBytes);
  Compile(5, weights_);
  EXPECT_EQ(compilations_, 5);
  Compile(1, weights_);
  EXPECT_EQ(compilations_, 6);
}

TEST_F(PlanCacheTest, CountsWhatPlansShareOnce) {
  constexpr int64_t kSharedBytes = 10 * kPlanBytes;
  std::vector<std::unique_ptr<const Strategy>> strategies;
  strategies.push_back(
      std::make_unique<FakeStrategy>("fake", "", kPlanBytes, nullptr, kSharedBytes));
  const auto planner = Planner::Make(std::move(strategies), "").value();
  PlanCache cache(*planner, 15 * kPlanBytes);
  for (int length = 1; length <= 3; ++length) {
    ASSERT_THAT(cache.GetOrCompile(Problem(length), weights_), tconv::testing::IsOk());
  }
  EXPECT_EQ(cache.PlansOf(*weights_).size(), 3u);
  EXPECT_GT(cache.bytes_held(), kSharedBytes + 3 * kPlanBytes);
  EXPECT_LT(cache.bytes_held(), kSharedBytes + 4 * kPlanBytes);

  // Its part does not fit beside the other one, which goes with its last plan.
  ASSERT_THAT(cache.GetOrCompile(Problem(1), other_weights_), tconv::testing::IsOk());
  EXPECT_TRUE(cache.PlansOf(*weights_).empty());
  EXPECT_LT(cache.bytes_held(), kSharedBytes + 2 * kPlanBytes);
}

TEST_F(PlanCacheTest, ListsThePlansOfSomeWeightsMostRecentFirst) {
  Compile(5, weights_);
  Compile(6, weights_);
  Compile(7, other_weights_);
  Compile(5, weights_);
  const auto plans = cache_.PlansOf(*weights_);
  ASSERT_EQ(plans.size(), 2u);
  EXPECT_EQ(plans[0]->problem, Problem(5));
  EXPECT_EQ(plans[1]->problem, Problem(6));
}

TEST_F(PlanCacheTest, DropForgetsThePlansOfSomeWeightsOnly) {
  Compile(5, weights_);
  Compile(5, other_weights_);
  cache_.Drop(*weights_);
  EXPECT_TRUE(cache_.PlansOf(*weights_).empty());
  EXPECT_EQ(cache_.PlansOf(*other_weights_).size(), 1u);
}

TEST_F(PlanCacheTest, CallersThatAskAtOnceShareOneCompilation) {
  std::vector<std::thread> callers;
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([&] { Compile(5, weights_); });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(compilations_, 1);
}

TEST_F(PlanCacheTest, PassesOnThatNoStrategyTakesTheProblem) {
  std::vector<std::unique_ptr<const Strategy>> strategies;
  strategies.push_back(std::make_unique<FakeStrategy>("picky", "too large"));
  const auto planner = Planner::Make(std::move(strategies), "").value();
  PlanCache cache(*planner, kPlanBytes);
  EXPECT_THAT(cache.GetOrCompile(Problem(5), weights_),
              tconv::testing::StatusIs(StatusCode::kUnimplemented));
}

TEST_F(PlanCacheTest, CompilesForOtherWeightsWhatIsInUse) {
  Compile(5, weights_);
  ASSERT_THAT(cache_.CompileLike(*weights_, other_weights_), tconv::testing::IsOk());
  EXPECT_EQ(compilations_, 2);
  EXPECT_NE(cache_.Find(Problem(5), other_weights_), nullptr);
  EXPECT_EQ(cache_.Find(Problem(6), other_weights_), nullptr);
}

TEST_F(PlanCacheTest, PlansForOtherWeightsCountForTheSameOwner) {
  const CacheShare share = {"vision", 3 * kPlanBytes / 2};
  ASSERT_THAT(cache_.GetOrCompile(Problem(5), weights_, nullptr, share), tconv::testing::IsOk());
  ASSERT_THAT(cache_.CompileLike(*weights_, other_weights_), tconv::testing::IsOk());
  // There is room for one plan in the share.
  EXPECT_TRUE(cache_.PlansOf(*weights_).empty());
  EXPECT_NE(cache_.Find(Problem(5), other_weights_), nullptr);
}

TEST_F(PlanCacheTest, CompilesThePlansUsedLastWhenThereIsNoRoomForAll) {
  for (const int length : {5, 6, 7}) Compile(length, weights_);
  ASSERT_THAT(cache_.CompileLike(*weights_, other_weights_), tconv::testing::IsOk());
  Compile(8, weights_);
  EXPECT_NE(cache_.Find(Problem(7), other_weights_), nullptr);
  EXPECT_EQ(cache_.Find(Problem(5), other_weights_), nullptr);
}

}  // namespace
}  // namespace tconv::server
