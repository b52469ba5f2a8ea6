#include "server/compute/strategy_choice.h"

#include <optional>

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

std::string ReasonOf(const StrategyCandidate& candidate) {
  if (!candidate.estimated_time.ok()) return MessageOf(candidate.estimated_time.status());
  const std::chrono::duration<double, std::milli> time = *candidate.estimated_time;
  return fmt::format("estimated {:.3g} ms", time.count());
}

}  // namespace

StatusOr<StrategyChoice> ChooseLeast(const std::vector<StrategyCandidate>& candidates) {
  StrategyChoice choice;
  std::optional<size_t> best;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const StrategyCandidate& candidate = candidates[i];
    choice.verdicts.push_back({.strategy = candidate.name, .reason = ReasonOf(candidate)});
    if (!candidate.may_compute || !candidate.estimated_time.ok()) continue;
    if (!best || *candidate.estimated_time < *candidates[*best].estimated_time) best = i;
  }
  if (!best) {
    return MakeError(StatusCode::kUnimplemented, "no strategy takes the problem: {}",
                     JoinReasons(choice.verdicts));
  }
  choice.chosen = *best;
  choice.verdicts[*best].chosen = true;
  return choice;
}

}  // namespace tconv::server
