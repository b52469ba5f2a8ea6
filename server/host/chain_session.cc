#include "server/host/chain_session.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "server/compute/activation_pass.h"
#include "server/host/layer_session.h"
#include "server/layer/slabs.h"

namespace tconv::server {
namespace {

// Whether what a unit does behind its layer can be done slab by slab.
Status CheckPassesInSlabs(const ChainUnit& unit, const DeconvProblem& problem) {
  for (const Activation& pass : unit.passes) {
    DeconvProblem with_pass = problem;
    with_pass.activation = pass;
    const SlabCuts cuts = CutsOf(with_pass);
    if (cuts.images && cuts.rows) continue;
    return MakeError(StatusCode::kUnimplemented,
                     "the function {} behind step {} needs the whole output of that layer: call "
                     "Forward, or make it the activation of the layer",
                     pass.spec().name, unit.step);
  }
  return OkStatus();
}

LayerSession::Finish PassesOf(const ChainUnit& unit, WorkerPool& pool, BlockPool& memory) {
  if (unit.passes.empty()) return nullptr;
  return [&pool, &memory, passes = unit.passes,
          data_format = unit.config.data_format](Tensor slab) -> StatusOr<Tensor> {
    for (const Activation& pass : passes) {
      TCONV_ASSIGN_OR_RETURN(slab, Activated(pool, pass, data_format, slab.view(), memory));
    }
    return slab;
  };
}

}  // namespace

StatusOr<std::unique_ptr<ForwardSession>> ChainSession::Make(const LayerForward& layers,
                                                             WorkerPool& pool,
                                                             const ServedChain& chain,
                                                             const StreamedForward& forward) {
  TCONV_ASSIGN_OR_RETURN(const std::vector<UnitShapes> shapes,
                         ShapesOf(chain.units, forward.shape));
  Stages stages;
  DType dtype = forward.dtype;
  for (size_t i = 0; i < shapes.size(); ++i) {
    const ChainUnit& unit = chain.units[i];
    const DeconvProblem& problem = shapes[i].problem;
    SlabComputation computation = layers.ComputationOf(unit.layer, problem, chain.WeightsOf(unit));
    if (computation.slabs().size() > 1) TCONV_RETURN_IF_ERROR(CheckPassesInSlabs(unit, problem));
    stages.push_back(std::make_unique<LayerSession>(
        unit.config, chain.WeightsOf(unit), std::move(computation), dtype, forward.compute_losses,
        PassesOf(unit, pool, layers.memory()), shapes[i].output));
    dtype = problem.dtype;
  }
  const ForwardFacts facts = {.strategy = kChainStrategy,
                              .layer_id = chain.key.id,
                              .weights_version = chain.version(),
                              .images = shapes.front().problem.batch};
  return std::unique_ptr<ForwardSession>(new ChainSession(std::move(stages), facts));
}

int64_t ChainSession::buffer_bytes() const {
  int64_t bytes = 0;
  for (const auto& stage : stages_) bytes += stage->buffer_bytes();
  return bytes;
}

bool ChainSession::CanCompute() const {
  return std::ranges::any_of(stages_, [](const auto& stage) { return stage->CanCompute(); });
}

// Nothing moves between stages but after a computation: only that makes output or room.
Status ChainSession::Compute() {
  const auto last = std::find_if(stages_.rbegin(), stages_.rend(),
                                 [](const auto& stage) { return stage->CanCompute(); });
  TCONV_RETURN_IF_ERROR((*last)->Compute());
  for (size_t from = 0; from < held_.size(); ++from) TCONV_RETURN_IF_ERROR(MoveOn(from));
  return OkStatus();
}

Status ChainSession::MoveOn(size_t from) {
  ForwardSession& next = *stages_[from + 1];
  std::optional<Output>& held = held_[from];
  while (true) {
    // Asked for even when there is nothing to move: slabs may need no bytes of their own.
    TCONV_ASSIGN_OR_RETURN(const std::span<std::byte> room, next.Room());
    if (!held.has_value()) held = stages_[from]->Take();
    if (!held.has_value()) return OkStatus();
    if (held->bytes.empty()) {
      held.reset();
      stages_[from]->Release();
      continue;
    }
    if (room.empty()) return OkStatus();
    const size_t bytes = std::min(room.size(), held->bytes.size());
    std::memcpy(room.data(), held->bytes.data(), bytes);
    next.Fill(bytes);
    held->bytes = held->bytes.subspan(bytes);
  }
}

std::vector<Loss> ChainSession::losses() const {
  std::vector<Loss> losses;
  for (const auto& stage : stages_) {
    for (const Loss& loss : stage->losses()) losses.push_back(loss);
  }
  return losses;
}

}  // namespace tconv::server
