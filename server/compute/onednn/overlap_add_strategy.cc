// Overlap-add: matrix products give what every tap adds to every input position;
// the output is sums of shifted parts of these products. Few filters waste no
// lanes of vector instructions, for taps and filters fill them together.
#include <utility>

#include "server/compute/cost_model.h"
#include "server/compute/onednn/overlap_blocks_compiler.h"
#include "server/compute/onednn/overlap_planes_compiler.h"
#include "server/compute/onednn/runtime.h"
#include "server/compute/overlap_blocks.h"
#include "server/compute/overlap_layout.h"
#include "server/compute/phases.h"
#include "server/compute/strategies.h"

namespace tconv::server {
namespace {

// Each thread keeps two tiles. Those of large kernels on wide images may be any
// size, for a tile has as many rows as the kernel reaches.
constexpr int64_t kMaxTileBytes = 32 << 20;

class OverlapAddStrategy final : public Strategy {
 public:
  OverlapAddStrategy(const std::shared_ptr<const OneDnnRuntime>& runtime, WorkerPool& pool)
      : blocks_(runtime, pool), planes_(runtime, pool) {}

  std::string_view name() const override { return "overlap_add"; }

  Status Supports(const DeconvProblem& problem) const override {
    TCONV_RETURN_IF_ERROR(FitsOneDnn(problem));
    for (const AxisGeometry& axis : problem.axes) {
      if (IsStridedAndDilated(axis)) {
        return MakeError(StatusCode::kUnimplemented, "strides and dilation on one axis");
      }
    }
    const int64_t tile_bytes = problem.data_format == DataFormat::kChannelsLast
                                   ? OverlapBlocks(problem).TileBytes()
                                   : OverlapLayout(problem).TileBytes();
    if (tile_bytes > kMaxTileBytes) {
      return MakeError(StatusCode::kUnimplemented, "the products of {} bytes would leave the cache",
                       tile_bytes);
    }
    return OkStatus();
  }

  std::chrono::nanoseconds EstimatedTime(const DeconvProblem& problem) const override {
    return OverlapAddTime(problem);
  }

  bool FinishesWholePositions(const DeconvProblem& problem) const override {
    return problem.data_format == DataFormat::kChannelsLast;
  }

  StatusOr<std::unique_ptr<const ForwardPlan>> Compile(
      const DeconvProblem& problem, std::shared_ptr<const Weights> weights) const override {
    return problem.data_format == DataFormat::kChannelsLast
               ? blocks_.Compile(problem, std::move(weights))
               : planes_.Compile(problem, std::move(weights));
  }

 private:
  const OverlapBlocksCompiler blocks_;
  const OverlapPlanesCompiler planes_;
};

}  // namespace

std::unique_ptr<const Strategy> MakeOverlapAddStrategy(std::shared_ptr<const OneDnnRuntime> runtime,
                                                       WorkerPool& pool) {
  return std::make_unique<const OverlapAddStrategy>(runtime, pool);
}

}  // namespace tconv::server
