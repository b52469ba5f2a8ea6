// A Forward of a layer whose input and output pass through the server in parts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "server/base/mutex.h"
#include "server/base/status.h"
#include "server/host/forward_session.h"
#include "server/host/slab_computation.h"
#include "server/layer/layer_config.h"
#include "server/layer/regularizer.h"
#include "server/layer/weights.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

// Holds two slabs of input and two of output at most: one is filled or read while the
// other is computed.
class LayerSession final : public ForwardSession {
 public:
  // What becomes of each slab of output before it is given; it keeps its size or
  // shrinks. Null: nothing.
  using Finish = std::function<StatusOr<Tensor>(Tensor slab)>;

  // `computation` of a problem of `config` with `weights`, whose input comes in
  // `dtype`. `finish` makes the whole output one of `finished_shape`.
  LayerSession(const LayerConfig& config, std::shared_ptr<const Weights> weights,
               SlabComputation computation, DType dtype, bool compute_losses);
  LayerSession(const LayerConfig& config, std::shared_ptr<const Weights> weights,
               SlabComputation computation, DType dtype, bool compute_losses, Finish finish,
               const Shape& finished_shape);

  // Of whom facts() tell; before anything else.
  void set_layer_id(int64_t id) { facts_.layer_id = id; }

  int64_t buffer_bytes() const override;
  int64_t input_bytes() const override;
  int64_t weights_version() const override { return weights_->version; }
  DType output_dtype() const override { return problem().dtype; }
  Shape output_shape() const override { return output_shape_; }
  DataFormat data_format() const override { return problem().data_format; }

  StatusOr<std::span<std::byte>> Room() override;
  void Fill(size_t bytes) override;
  bool CanCompute() const override;
  Status Compute() override;
  std::optional<Output> Take() override;
  void Release() override;

  bool IsDone() const override;
  std::vector<Loss> losses() const override { return losses_; }
  ForwardFacts facts() const override { return facts_; }

 private:
  struct FilledSlab {
    int64_t index;
    std::shared_ptr<const Tensor> input;  // in stream order
  };

  const DeconvProblem& problem() const { return computation_.problem(); }
  bool is_planar() const { return problem().data_format == DataFormat::kChannelsFirst; }
  // What a slab takes until it is computed, and from then on.
  int64_t InputBytesOf(const DeconvProblem& slab) const;
  int64_t OutputBytesOf(const DeconvProblem& slab) const;

  bool HasRoomForInput() const;
  Status BeginSlab();
  void EndSlab();
  FilledSlab TakeFilled();
  StatusOr<std::shared_ptr<const Tensor>> SourceOf(const Slab& slab,
                                                   std::shared_ptr<const Tensor> input) const;
  StatusOr<Tensor> OutputOf(const Slab& slab, ConstTensorView src);

  const LayerConfig config_;
  const std::shared_ptr<const Weights> weights_;
  const SlabComputation computation_;
  const DType input_dtype_;
  const bool compute_losses_;
  const Finish finish_;
  const Shape output_shape_;

  // Of the thread that fills.
  int64_t next_slab_ = 0;
  std::shared_ptr<Tensor> filling_;  // null between two slabs
  size_t filled_bytes_ = 0;
  std::shared_ptr<const Tensor> last_filled_;  // has the halo of the next slab

  // Of the thread that computes.
  PenaltySums output_sums_;
  std::vector<Loss> losses_;
  ForwardFacts facts_;

  mutable Mutex mutex_;
  std::deque<FilledSlab> filled_ TCONV_GUARDED_BY(mutex_);
  bool is_computing_ TCONV_GUARDED_BY(mutex_) = false;
  std::deque<std::shared_ptr<const Tensor>> computed_ TCONV_GUARDED_BY(mutex_);
  int outputs_held_ TCONV_GUARDED_BY(mutex_) = 0;  // computed or being computed
  int64_t slabs_taken_ TCONV_GUARDED_BY(mutex_) = 0;
};

}  // namespace tconv::server
