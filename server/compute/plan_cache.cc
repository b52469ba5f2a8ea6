#include "server/compute/plan_cache.h"

#include <algorithm>
#include <utility>

#include "server/compute/compile_plan.h"

namespace tconv::server {
namespace {

// Plans that are compiled before anybody asks. Each takes its time and memory; those
// for shapes that come rarely wait until they come.
constexpr size_t kMostPlansAhead = 16;

// A problem multiplies each weight with as many inputs as it has positions. While
// one weight comes from memory a processor multiplies some tens of times.
bool GainsInBatches(const Strategy& strategy, const DeconvProblem& problem) {
  constexpr int64_t kPositionsWorthAWeight = 64;
  int64_t positions = problem.batch;
  for (const AxisGeometry& axis : problem.axes) positions *= axis.in;
  DeconvProblem batch = problem;
  batch.batch *= 2;
  return positions < kPositionsWorthAWeight && strategy.Supports(batch).ok();
}

}  // namespace

bool PlanCache::Key::operator==(const Key& other) const {
  return !weights.owner_before(other.weights) && !other.weights.owner_before(weights) &&
         problem == other.problem && pinned == other.pinned;
}

size_t PlanCache::KeyHash::operator()(const Key& key) const {
  return std::hash<DeconvProblem>()(key.problem) ^ std::hash<const Weights*>()(key.address);
}

StatusOr<std::shared_ptr<const CachedPlan>> PlanCache::GetOrCompile(
    const DeconvProblem& problem, const std::shared_ptr<const Weights>& weights,
    const Strategy* pinned, const CacheShare& share) {
  return plans_.GetOrBuild({weights, weights.get(), problem, pinned},
                           [&] { return Compile(problem, weights, pinned, share); });
}

std::shared_ptr<const CachedPlan> PlanCache::Find(
    const DeconvProblem& problem, const std::shared_ptr<const Weights>& weights) const {
  return plans_.Find({weights, weights.get(), problem, nullptr});
}

StatusOr<PlanCache::Plans::Built> PlanCache::Compile(const DeconvProblem& problem,
                                                     const std::shared_ptr<const Weights>& weights,
                                                     const Strategy* pinned,
                                                     const CacheShare& share) const {
  TCONV_ASSIGN_OR_RETURN(PlanChoice choice, planner_.Choose(problem, pinned));
  TCONV_ASSIGN_OR_RETURN(std::shared_ptr<const ForwardPlan> plan,
                         CompilePlan(*choice.strategy, problem, weights));
  auto cached = std::make_shared<CachedPlan>();
  cached->problem = problem;
  cached->strategy = choice.strategy;
  cached->pinned = pinned;
  cached->share = share;
  cached->verdicts = std::move(choice.verdicts);
  cached->plan = std::move(plan);
  cached->gains_in_batches = GainsInBatches(*choice.strategy, problem);
  const auto bytes = cached->plan->bytes_held() + static_cast<int64_t>(sizeof(CachedPlan));
  std::vector<SharedPart> parts = cached->plan->shared_parts();
  return Plans::Built{std::move(cached), bytes, std::move(parts), share};
}

std::vector<std::shared_ptr<const CachedPlan>> PlanCache::PlansOf(const Weights& weights) const {
  return plans_.FindIf(
      [&](const Key& key) { return key.address == &weights && !key.weights.expired(); });
}

Status PlanCache::CompileLike(const Weights& previous, const std::shared_ptr<const Weights>& next) {
  auto plans = PlansOf(previous);
  plans.resize(std::min(plans.size(), kMostPlansAhead));
  // The most recently used last: so they are for `next`, too.
  for (auto plan = plans.rbegin(); plan != plans.rend(); ++plan) {
    TCONV_RETURN_IF_ERROR(
        GetOrCompile((*plan)->problem, next, (*plan)->pinned, (*plan)->share).status());
  }
  return OkStatus();
}

void PlanCache::Drop(const Weights& weights) {
  plans_.EraseIf([&](const Key& key) { return key.address == &weights; });
}

}  // namespace tconv::server
