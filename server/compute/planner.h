// Chooses the strategy that computes a problem, and tells why.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/base/status.h"
#include "server/compute/strategy.h"
#include "server/compute/strategy_choice.h"

namespace tconv::server {

struct PlanChoice {
  const Strategy* strategy = nullptr;     // owned by the planner
  std::vector<StrategyVerdict> verdicts;  // of every strategy, in order of the list
};

// A pure function of the problem, over a fixed list. Thread-safe.
class Planner {
 public:
  // `forced` names the only strategy that may compute; empty: the best of all.
  // INVALID_ARGUMENT (about `strategy`) lists the names when there is no such.
  static StatusOr<std::unique_ptr<const Planner>> Make(
      std::vector<std::unique_ptr<const Strategy>> strategies, const std::string& forced);

  // `pinned`, one of this planner's strategies, is the only one that may compute
  // this problem; null: the planner chooses. UNIMPLEMENTED, with every reason,
  // when no strategy takes the problem or the only one does not.
  StatusOr<PlanChoice> Choose(const DeconvProblem& problem, const Strategy* pinned = nullptr) const;

 private:
  Planner(std::vector<std::unique_ptr<const Strategy>> strategies, const Strategy* forced)
      : strategies_(std::move(strategies)), forced_(forced) {}

  const std::vector<std::unique_ptr<const Strategy>> strategies_;
  const Strategy* const forced_;  // one of them, or null
};

}  // namespace tconv::server
