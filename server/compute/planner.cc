#include "server/compute/planner.h"

#include <algorithm>
#include <utility>

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

// A strategy that goes before the order of the list, and why.
struct Preference {
  std::string strategy;
  std::string reason;
};

// Phases of the width make runs of `stride * filters` values in the output, the
// lanes of vector instructions. Where they fill less than a vector, overlap-add,
// whose vectors run along the width, is faster: measured, with 16 lanes.
Preference PreferenceFor(const DeconvProblem& problem) {
  constexpr int64_t kVectorLanes = 16;
  const int64_t run = problem.axes.back().stride * problem.out_channels;
  if (run >= kVectorLanes) return {};
  return {"overlap_add", fmt::format("stride times filters is {}, less than the {} lanes of a "
                                     "vector",
                                     run, kVectorLanes)};
}

}  // namespace

StatusOr<std::unique_ptr<const Planner>> Planner::Make(
    std::vector<std::unique_ptr<const Strategy>> strategies, const std::string& forced) {
  std::string names;
  bool is_known = forced.empty();
  for (const auto& strategy : strategies) {
    if (!names.empty()) names += ", ";
    names += strategy->name();
    is_known |= strategy->name() == forced;
  }
  if (!is_known) {
    return InvalidField("strategy", "expected one of {}, got \"{}\"", names, forced);
  }
  return std::unique_ptr<const Planner>(new Planner(std::move(strategies), forced));
}

StatusOr<PlanChoice> Planner::Choose(const DeconvProblem& problem) const {
  const Preference preference =
      forced_.empty() ? PreferenceFor(problem) : Preference{forced_, "forced"};
  PlanChoice choice;
  size_t chosen = 0;
  for (size_t i = 0; i < strategies_.size(); ++i) {
    const Strategy& strategy = *strategies_[i];
    const bool is_preferred = strategy.name() == preference.strategy;
    const Status support = strategy.Supports(problem);
    StrategyVerdict verdict;
    verdict.strategy = std::string(strategy.name());
    if (!support.ok()) verdict.reason = MessageOf(support);
    choice.verdicts.push_back(std::move(verdict));
    const bool is_candidate = support.ok() && (forced_.empty() || is_preferred);
    if (is_candidate && (choice.strategy == nullptr || is_preferred)) {
      choice.strategy = &strategy;
      chosen = i;
    }
  }
  if (choice.strategy == nullptr) {
    return MakeError(StatusCode::kUnimplemented, "no strategy takes the problem: {}",
                     JoinReasons(choice.verdicts));
  }
  for (size_t i = 0; i < choice.verdicts.size(); ++i) {
    StrategyVerdict& verdict = choice.verdicts[i];
    verdict.chosen = i == chosen;
    if (verdict.chosen) {
      verdict.reason = verdict.strategy == preference.strategy
                           ? preference.reason
                           : "the first in the order of preference that takes the problem";
    } else if (!forced_.empty()) {
      verdict.reason = fmt::format("{} is forced", forced_);
    } else if (verdict.reason.empty()) {
      verdict.reason = fmt::format("{} is preferred", choice.strategy->name());
    }
  }
  return choice;
}

}  // namespace tconv::server
