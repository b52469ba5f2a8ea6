// Compiled backward plans, kept for the shapes in use.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "server/base/cache_share.h"
#include "server/base/lru_map.h"
#include "server/base/status.h"
#include "server/compute/backward_planner.h"

namespace tconv::server {

// A plan with what is worth telling about it.
struct CachedBackwardPlan {
  const BackwardStrategy* strategy = nullptr;  // that computes; the planner's
  std::vector<StrategyVerdict> verdicts;
  std::unique_ptr<const BackwardPlan> plan;
};

// Maps problems to compiled plans. Bounded in bytes as PlanCache is; its plans hold no
// weights, so that a fixed bound keeps some hundred of them. Thread-safe.
class BackwardPlanCache {
 public:
  static constexpr int64_t kCapacityBytes = int64_t{128} << 20;

  // `planner` must outlive the cache.
  explicit BackwardPlanCache(const BackwardPlanner& planner,
                             int64_t capacity_bytes = kCapacityBytes)
      : planner_(planner), plans_(capacity_bytes) {}

  // Problems that differ in bias and activation alone share a plan, which counts for
  // the `share` of the first. Errors of BackwardPlanner::Choose() and
  // BackwardStrategy::Compile(); they are not cached.
  StatusOr<std::shared_ptr<const CachedBackwardPlan>> GetOrCompile(const DeconvProblem& problem,
                                                                   const CacheShare& share = {});

  LruFacts facts() const { return plans_.facts(); }

 private:
  using Plans = LruMap<DeconvProblem, CachedBackwardPlan>;

  StatusOr<Plans::Built> Compile(const DeconvProblem& problem, const CacheShare& share) const;

  const BackwardPlanner& planner_;
  Plans plans_;
};

}  // namespace tconv::server
