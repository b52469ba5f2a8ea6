// From a strategy to a plan for any activation.
#pragma once

#include <chrono>
#include <memory>

#include "server/base/status.h"
#include "server/compute/strategy.h"

namespace tconv::server {

// The plan of `strategy` for `problem`. Strategies apply element-wise
// activations and, where they finish whole positions, softmax along channels;
// the others run along an axis of the finished linear result, which this plan
// computes first. Errors of Strategy::Compile().
// REQUIRES: strategy.Supports(problem) is OK, the weights fit the problem.
StatusOr<std::unique_ptr<const ForwardPlan>> CompilePlan(const Strategy& strategy,
                                                         const DeconvProblem& problem,
                                                         std::shared_ptr<const Weights> weights);

// What that plan takes on one thread, roughly. The same requirement.
std::chrono::nanoseconds EstimatedPlanTime(const Strategy& strategy, const DeconvProblem& problem);

}  // namespace tconv::server
