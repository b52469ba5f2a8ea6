// All that a Differentiation needs.
#pragma once

#include <memory>
#include <utility>

#include "server/compute/backward_strategies.h"
#include "server/compute/differentiation.h"
#include "server/compute/strategies.h"

namespace tconv::testing {

class DifferentiationBench {
 public:
  explicit DifferentiationBench(int threads)
      : pool_(server::WorkerPool::Make(threads).value()),
        planner_(server::Planner::Make(server::MakeStrategies(*pool_).value(), "").value()),
        backward_planner_(server::MakeBackwardStrategies(*pool_).value()),
        plans_(*planner_, int64_t{1} << 30),
        backward_plans_(backward_planner_),
        memory_(server::BlockPool::Make(int64_t{64} << 20)) {}

  server::ComputeTools tools() { return {plans_, backward_plans_, *pool_, *memory_}; }

 private:
  const std::unique_ptr<server::WorkerPool> pool_;
  const std::unique_ptr<const server::Planner> planner_;
  const server::BackwardPlanner backward_planner_;
  server::PlanCache plans_;
  server::BackwardPlanCache backward_plans_;
  const std::shared_ptr<server::BlockPool> memory_;
};

}  // namespace tconv::testing
