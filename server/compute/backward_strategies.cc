#include "server/compute/backward_strategies.h"

#include <utility>

#include "server/compute/onednn/runtime.h"

namespace tconv::server {

StatusOr<std::vector<std::unique_ptr<const BackwardStrategy>>> MakeBackwardStrategies(
    WorkerPool& pool) {
  TCONV_ASSIGN_OR_RETURN(std::shared_ptr<const OneDnnRuntime> runtime, OneDnnRuntime::Make());
  std::vector<std::unique_ptr<const BackwardStrategy>> strategies;
  strategies.push_back(MakeConvolutionBackwardStrategy(std::move(runtime), pool));
  strategies.push_back(MakeWindowMatmulStrategy(pool));
  strategies.push_back(MakeReferenceBackwardStrategy());
  return strategies;
}

}  // namespace tconv::server
