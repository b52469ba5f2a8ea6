#include "server/compute/strategies.h"

#include "server/compute/onednn/runtime.h"

namespace tconv::server {

StatusOr<std::vector<std::unique_ptr<const Strategy>>> MakeStrategies(WorkerPool& pool) {
  TCONV_ASSIGN_OR_RETURN(std::shared_ptr<const OneDnnRuntime> runtime, OneDnnRuntime::Make());
  std::vector<std::unique_ptr<const Strategy>> strategies;
  strategies.push_back(MakePhaseConvStrategy(runtime, pool));
  strategies.push_back(MakeOverlapAddStrategy(runtime, pool));
  strategies.push_back(MakeInPlaceMatmulStrategy(runtime, pool));
  strategies.push_back(MakeWeightStreamStrategy(pool));
  strategies.push_back(MakeDeconvolutionStrategy(runtime, pool));
  strategies.push_back(MakeReferenceStrategy());
  return strategies;
}

}  // namespace tconv::server
