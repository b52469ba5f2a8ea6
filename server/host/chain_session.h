// A Forward of a chain whose input and output pass through the server in parts.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "server/base/status.h"
#include "server/compute/worker_pool.h"
#include "server/host/chain_forward.h"
#include "server/host/forward_session.h"
#include "server/host/layer_forward.h"

namespace tconv::server {

// A session for each layer: what one gives is what the next takes, for both are in
// stream order. Holds what all of them hold.
class ChainSession final : public ForwardSession {
 public:
  // `layers` and `pool` must outlive the session. INVALID_ARGUMENT: the input has not the
  // shape of the chain's. UNIMPLEMENTED: a function of its own runs along an axis that
  // slabs would cut.
  static StatusOr<std::unique_ptr<ForwardSession>> Make(const LayerForward& layers,
                                                        WorkerPool& pool, const ServedChain& chain,
                                                        const StreamedForward& forward);

  int64_t buffer_bytes() const override;
  int64_t input_bytes() const override { return stages_.front()->input_bytes(); }
  int64_t weights_version() const override { return facts_.weights_version; }
  DType output_dtype() const override { return stages_.back()->output_dtype(); }
  Shape output_shape() const override { return stages_.back()->output_shape(); }
  DataFormat data_format() const override { return stages_.back()->data_format(); }

  StatusOr<std::span<std::byte>> Room() override { return stages_.front()->Room(); }
  void Fill(size_t bytes) override { stages_.front()->Fill(bytes); }
  bool CanCompute() const override;
  // A slab of one layer, of the last that can.
  Status Compute() override;
  std::optional<Output> Take() override { return stages_.back()->Take(); }
  void Release() override { stages_.back()->Release(); }

  bool IsDone() const override { return stages_.back()->IsDone(); }
  std::vector<Loss> losses() const override;
  ForwardFacts facts() const override { return facts_; }

 private:
  using Stages = std::vector<std::unique_ptr<ForwardSession>>;

  ChainSession(Stages stages, const ForwardFacts& facts)
      : stages_(std::move(stages)), held_(stages_.size() - 1), facts_(facts) {}

  // From stage `from` to the next, as far as there is room.
  Status MoveOn(size_t from);

  const Stages stages_;
  // Of the thread that computes: by the stage that it comes from, an output that has not
  // been moved on completely.
  std::vector<std::optional<Output>> held_;
  const ForwardFacts facts_;
};

}  // namespace tconv::server
