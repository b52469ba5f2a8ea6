// What the benchmarks compare: plans of tconv, and oneDNN's deconvolution
// primitive as it comes.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/base/status.h"
#include "server/compute/backward_planner.h"
#include "server/compute/planner.h"
#include "server/compute/strategy.h"
#include "server/compute/worker_pool.h"
#include "tests/support/shape_table.h"

namespace tconv::bench {

// One way to compute one problem on random numbers, ready to run: what can be
// prepared for many runs is done. Owns its input and output.
struct Contender {
  std::string how;  // the strategy, or the implementation that oneDNN chose
  std::function<server::Status()> run;
};

// A pool of compute threads with all strategies on it.
struct Machine {
  explicit Machine(int threads);

  // The strategies that take the problem, without the reference.
  std::vector<const server::Strategy*> TakersOf(const server::DeconvProblem& problem) const;
  std::vector<const server::BackwardStrategy*> BackwardTakersOf(
      const server::DeconvProblem& problem) const;

  const std::unique_ptr<server::WorkerPool> pool;
  const std::unique_ptr<const server::Planner> planner;
  const std::vector<std::unique_ptr<const server::Strategy>> strategies;
  const server::BackwardPlanner backward_planner;
  const std::vector<std::unique_ptr<const server::BackwardStrategy>> backward_strategies;
};

// A plan of `strategy`, which must outlive it. Errors of CompilePlan().
server::StatusOr<Contender> MakePlanContender(const server::Strategy& strategy,
                                              const testing::ShapeRow& row);

// oneDNN's deconvolution of the whole batch with bias and ReLU fused (other
// activations are left out), on an OpenMP team of `threads` and the user's
// layouts, with weights packed beforehand. UNIMPLEMENTED where oneDNN has none.
server::StatusOr<Contender> MakeBaselineContender(const server::DeconvProblem& problem,
                                                  int threads);

// As MakePlanContender(), for both gradients by a strategy of the way back.
server::StatusOr<Contender> MakeBackwardContender(const server::BackwardStrategy& strategy,
                                                  const server::DeconvProblem& problem);

// oneDNN's deconvolution_backward_data and deconvolution_backward_weights in float32, on
// an OpenMP team of `threads`, the user's layouts of images and the library's of weights:
// what it would take to bring them there and back is left out.
server::StatusOr<Contender> MakeBackwardBaselineContender(const server::DeconvProblem& problem,
                                                          int threads);

// oneDNN's product of two large square matrices of `dtype` into float32, on an
// OpenMP team of `threads`: the peak that can be reached in practice. `size` is
// the length of a side.
server::StatusOr<Contender> MakeMatmulContender(server::DType dtype, int64_t size, int threads);

// Ends OpenMP's team of this thread, which otherwise spins for a while after
// its last work and takes the cores from whatever is measured next.
void EndOpenMpTeam();

}  // namespace tconv::bench
