// How one of several strategies is chosen.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "server/base/status.h"

namespace tconv::server {

// What one candidate said to a problem.
struct StrategyVerdict {
  std::string strategy;
  bool chosen = false;
  std::string reason;
};

// A strategy before the choice.
struct StrategyCandidate {
  std::string name;
  // How long it would take; an error is the reason why it does not take the problem.
  StatusOr<std::chrono::nanoseconds> estimated_time;
  bool may_compute = true;  // else it only tells
};

struct StrategyChoice {
  size_t chosen = 0;                      // index of the candidate
  std::vector<StrategyVerdict> verdicts;  // of every candidate, in their order
};

// The least estimate wins, of equal ones the first. UNIMPLEMENTED, with every reason,
// when no candidate that may compute takes the problem.
StatusOr<StrategyChoice> ChooseLeast(const std::vector<StrategyCandidate>& candidates);

}  // namespace tconv::server
