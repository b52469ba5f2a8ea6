// Chooses the strategy that computes the gradients of a problem.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "server/base/status.h"
#include "server/compute/backward_plan.h"
#include "server/compute/strategy_choice.h"

namespace tconv::server {

struct BackwardChoice {
  const BackwardStrategy* strategy = nullptr;  // owned by the planner
  std::vector<StrategyVerdict> verdicts;       // of every strategy, in order of the list
};

// A pure function of the problem, over a fixed list. Thread-safe.
class BackwardPlanner {
 public:
  explicit BackwardPlanner(std::vector<std::unique_ptr<const BackwardStrategy>> strategies)
      : strategies_(std::move(strategies)) {}

  // The strategy of the least estimated time. UNIMPLEMENTED, with every reason, when
  // none takes the problem.
  StatusOr<BackwardChoice> Choose(const DeconvProblem& problem) const;

 private:
  const std::vector<std::unique_ptr<const BackwardStrategy>> strategies_;
};

}  // namespace tconv::server
