#include "server/compute/backward_planner.h"

#include <chrono>
#include <string>

namespace tconv::server {
namespace {

StatusOr<std::chrono::nanoseconds> TimeOf(const BackwardStrategy& strategy,
                                          const DeconvProblem& problem) {
  TCONV_RETURN_IF_ERROR(strategy.Supports(problem));
  return strategy.EstimatedTime(problem);
}

}  // namespace

StatusOr<BackwardChoice> BackwardPlanner::Choose(const DeconvProblem& problem) const {
  std::vector<StrategyCandidate> candidates;
  for (const auto& strategy : strategies_) {
    candidates.push_back(
        {.name = std::string(strategy->name()), .estimated_time = TimeOf(*strategy, problem)});
  }
  TCONV_ASSIGN_OR_RETURN(StrategyChoice choice, ChooseLeast(candidates));
  choice.verdicts[choice.chosen].reason += ", the least";
  return BackwardChoice{strategies_[choice.chosen].get(), std::move(choice.verdicts)};
}

}  // namespace tconv::server
