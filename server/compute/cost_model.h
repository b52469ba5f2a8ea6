// What each strategy costs, so that the planner can compare them: how often it
// does each kind of work, times what that takes on one thread of a current
// processor. The costs were fitted to the times of some hundred random problems
// (tests/bench/random_bench prints such); they are right within a factor of 1.3
// for most, which is enough to tell strategies apart where it matters.
#pragma once

#include <chrono>

#include "server/layer/geometry.h"

namespace tconv::server {

// REQUIRES: the strategy supports the problem.
std::chrono::nanoseconds PhaseConvTime(const DeconvProblem& problem);
std::chrono::nanoseconds OverlapAddTime(const DeconvProblem& problem);
std::chrono::nanoseconds InPlaceMatmulTime(const DeconvProblem& problem);
std::chrono::nanoseconds WeightStreamTime(const DeconvProblem& problem);
std::chrono::nanoseconds DeconvolutionTime(const DeconvProblem& problem);
std::chrono::nanoseconds ReferenceTime(const DeconvProblem& problem);

// Of the gradients by input and by kernel.
std::chrono::nanoseconds ConvolutionBackwardTime(const DeconvProblem& problem);
std::chrono::nanoseconds WindowMatmulTime(const DeconvProblem& problem);
std::chrono::nanoseconds ReferenceBackwardTime(const DeconvProblem& problem);

}  // namespace tconv::server
