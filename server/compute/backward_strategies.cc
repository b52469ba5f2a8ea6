#include "server/compute/backward_strategies.h"

namespace tconv::server {

StatusOr<std::vector<std::unique_ptr<const BackwardStrategy>>> MakeBackwardStrategies(
    WorkerPool& pool) {
  std::vector<std::unique_ptr<const BackwardStrategy>> strategies;
  strategies.push_back(MakeWindowMatmulStrategy(pool));
  strategies.push_back(MakeReferenceBackwardStrategy());
  return strategies;
}

}  // namespace tconv::server
