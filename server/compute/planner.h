// Chooses the strategy that computes a problem, and tells why.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/base/status.h"
#include "server/compute/strategy.h"

namespace tconv::server {

// What one candidate said to a problem.
struct StrategyVerdict {
  std::string strategy;
  bool chosen = false;
  std::string reason;
};

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

  // UNIMPLEMENTED, with every reason, when no strategy takes the problem or the
  // forced one does not.
  StatusOr<PlanChoice> Choose(const DeconvProblem& problem) const;

 private:
  Planner(std::vector<std::unique_ptr<const Strategy>> strategies, std::string forced)
      : strategies_(std::move(strategies)), forced_(std::move(forced)) {}

  const std::vector<std::unique_ptr<const Strategy>> strategies_;
  const std::string forced_;
};

}  // namespace tconv::server
