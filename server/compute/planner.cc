#include "server/compute/planner.h"

#include <chrono>
#include <utility>

#include "server/compute/compile_plan.h"

namespace tconv::server {
namespace {

StatusOr<std::chrono::nanoseconds> TimeOf(const Strategy& strategy, const DeconvProblem& problem) {
  TCONV_RETURN_IF_ERROR(strategy.Supports(problem));
  return EstimatedPlanTime(strategy, problem);
}

}  // namespace

StatusOr<std::unique_ptr<const Planner>> Planner::Make(
    std::vector<std::unique_ptr<const Strategy>> strategies, const std::string& forced) {
  std::string names;
  const Strategy* only = nullptr;
  for (const auto& strategy : strategies) {
    if (!names.empty()) names += ", ";
    names += strategy->name();
    if (strategy->name() == forced) only = strategy.get();
  }
  if (only == nullptr && !forced.empty()) {
    return InvalidField("strategy", "expected one of {}, got \"{}\"", names, forced);
  }
  return std::unique_ptr<const Planner>(new Planner(std::move(strategies), only));
}

StatusOr<PlanChoice> Planner::Choose(const DeconvProblem& problem, const Strategy* pinned) const {
  const Strategy* const only = pinned != nullptr ? pinned : forced_;
  std::vector<StrategyCandidate> candidates;
  for (const auto& strategy : strategies_) {
    candidates.push_back({.name = std::string(strategy->name()),
                          .estimated_time = TimeOf(*strategy, problem),
                          .may_compute = only == nullptr || only == strategy.get()});
  }
  TCONV_ASSIGN_OR_RETURN(StrategyChoice choice, ChooseLeast(candidates));
  choice.verdicts[choice.chosen].reason += only == nullptr   ? ", the least"
                                           : only == forced_ ? ", and forced"
                                                             : ", and pinned";
  return PlanChoice{strategies_[choice.chosen].get(), std::move(choice.verdicts)};
}

}  // namespace tconv::server
