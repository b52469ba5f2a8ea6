#include "server/compute/backward_plan_cache.h"

#include <utility>

namespace tconv::server {

StatusOr<std::shared_ptr<const CachedBackwardPlan>> BackwardPlanCache::GetOrCompile(
    const DeconvProblem& problem, const CacheShare& share) {
  DeconvProblem linear = problem;
  linear.use_bias = false;
  linear.activation = Activation();
  return plans_.GetOrBuild(linear, [&] { return Compile(linear, share); });
}

StatusOr<BackwardPlanCache::Plans::Built> BackwardPlanCache::Compile(
    const DeconvProblem& problem, const CacheShare& share) const {
  TCONV_ASSIGN_OR_RETURN(BackwardChoice choice, planner_.Choose(problem));
  auto cached = std::make_shared<CachedBackwardPlan>();
  TCONV_ASSIGN_OR_RETURN(cached->plan, choice.strategy->Compile(problem));
  cached->strategy = choice.strategy;
  cached->verdicts = std::move(choice.verdicts);
  const auto bytes = cached->plan->bytes_held() + static_cast<int64_t>(sizeof(CachedBackwardPlan));
  return Plans::Built{std::move(cached), bytes, {}, share};
}

}  // namespace tconv::server
