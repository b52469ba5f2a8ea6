// Comparing what two strategies compute.
#pragma once

#include <memory>
#include <string>

#include "server/compute/strategy.h"
#include "tests/support/shape_table.h"

namespace tconv::testing {

// The plan of `strategy` for the row with random weights, the same for all
// strategies. Aborts when there is none.
std::unique_ptr<const server::ForwardPlan> CompileRow(const server::Strategy& strategy,
                                                      const ShapeRow& row);

// Random input of the row, the same each time.
server::Tensor SourceOf(const ShapeRow& row);

// What the plan makes of `src`, over memory that held NaNs, so that no element
// can be left out. Aborts when it fails.
server::Tensor ExecutePlan(const server::ForwardPlan& plan, const server::DeconvProblem& problem,
                           const server::Tensor& src);

// Empty when the two agree to within what the order of summation, the vector
// forms of activations and the rounding of 16-bit types explain; else the worst
// element.
std::string DifferenceOf(const server::Tensor& actual, const server::Tensor& expected);

}  // namespace tconv::testing
