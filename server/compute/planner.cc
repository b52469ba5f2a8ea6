#include "server/compute/planner.h"

#include <chrono>
#include <utility>

#include "server/compute/compile_plan.h"

namespace tconv::server {
namespace {

std::string JoinReasons(const std::vector<StrategyVerdict>& verdicts) {
  std::string joined;
  for (const StrategyVerdict& verdict : verdicts) {
    if (!joined.empty()) joined += "; ";
    joined += verdict.strategy + ": " + verdict.reason;
  }
  return joined;
}

std::string Describe(std::chrono::nanoseconds time) {
  return fmt::format("{:.3g} ms", std::chrono::duration<double, std::milli>(time).count());
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
  PlanChoice choice;
  std::chrono::nanoseconds best_time{0};
  StrategyVerdict* best = nullptr;
  choice.verdicts.resize(strategies_.size());
  for (size_t i = 0; i < strategies_.size(); ++i) {
    const Strategy& strategy = *strategies_[i];
    StrategyVerdict& verdict = choice.verdicts[i];
    verdict.strategy = std::string(strategy.name());
    const Status support = strategy.Supports(problem);
    if (!support.ok()) {
      verdict.reason = MessageOf(support);
      continue;
    }
    const std::chrono::nanoseconds time = EstimatedPlanTime(strategy, problem);
    verdict.reason = fmt::format("estimated {}", Describe(time));
    if (only != nullptr && only != &strategy) continue;
    if (best == nullptr || time < best_time) {
      choice.strategy = &strategy;
      best = &verdict;
      best_time = time;
    }
  }
  if (best == nullptr) {
    return MakeError(StatusCode::kUnimplemented, "no strategy takes the problem: {}",
                     JoinReasons(choice.verdicts));
  }
  best->chosen = true;
  best->reason += only == nullptr   ? ", the least"
                  : only == forced_ ? ", and forced"
                                    : ", and pinned";
  return choice;
}

}  // namespace tconv::server
