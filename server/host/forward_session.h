// A Forward whose input and output pass through the server in parts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "server/base/mutex.h"
#include "server/base/status.h"
#include "server/host/forward_job.h"
#include "server/host/slab_computation.h"
#include "server/layer/layer_config.h"
#include "server/layer/regularizer.h"
#include "server/layer/weights.h"
#include "server/telemetry/call_facts.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

// What a stream says before its input.
struct StreamedForward {
  std::string layer;
  DType dtype = DType::kFloat32;
  Shape shape;
  bool compute_losses = false;
  int64_t min_version = 0;  // as in ForwardJob
};

// Takes the input, computes it slab by slab and gives the output, both in stream
// order: row-major, but for channels_first with the channels behind the
// outermost spatial axis. Holds two slabs of input and two of output at most:
// one is filled or read while the other is computed. Uses the weights it began
// with until its end.
//
// Three threads may use it at once: one that fills, one that computes and one
// that takes.
class ForwardSession {
 public:
  // `computation` of a problem of `config` with `weights`, whose input comes in
  // `dtype`.
  ForwardSession(const LayerConfig& config, std::shared_ptr<const Weights> weights,
                 SlabComputation computation, DType dtype, bool compute_losses);

  // Of whom facts() tell; before anything else.
  void set_layer_id(int64_t id) { facts_.layer_id = id; }

  // The most memory that input and output take.
  int64_t buffer_bytes() const;
  int64_t input_bytes() const;  // of the whole stream
  int64_t weights_version() const { return weights_->version; }
  DType output_dtype() const { return problem().dtype; }
  Shape output_shape() const { return problem().dst_shape(); }
  DataFormat data_format() const { return problem().data_format; }

  // Where the next bytes of input go. Empty when there is no memory for them
  // now, and at the end of the input. RESOURCE_EXHAUSTED without memory.
  StatusOr<std::span<std::byte>> Room();
  // So many bytes of the room are filled.
  void Fill(size_t bytes);

  // Whether a slab is there that can be computed now.
  bool CanCompute() const;
  // Computes it. REQUIRES: CanCompute().
  Status Compute();

  // A piece of output, and what keeps it alive.
  struct Output {
    std::shared_ptr<const Tensor> owner;
    std::span<const std::byte> bytes;
  };
  // The next output; null while there is none.
  std::optional<Output> Take();
  // The last output that was taken is delivered, which makes room for another.
  void Release();

  // Whether all slabs are computed and taken.
  bool IsDone() const;
  // Empty unless asked for. REQUIRES: IsDone().
  const std::vector<Loss>& losses() const { return losses_; }
  // REQUIRES: no slab is being computed.
  const ForwardFacts& facts() const { return facts_; }

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
