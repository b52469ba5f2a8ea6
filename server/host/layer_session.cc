#include "server/host/layer_session.h"

#include <cassert>
#include <cstring>
#include <utility>

#include "server/host/losses.h"

namespace tconv::server {
namespace {

// Of input, and of output.
constexpr int kSlabsHeld = 2;

// dst[image][b][a] = src[image][a][b], blocks of some bytes.
void SwapAxes(const std::byte* src, int64_t images, int64_t a, int64_t b, size_t block_bytes,
              std::byte* dst) {
  for (int64_t image = 0; image < images; ++image) {
    for (int64_t j = 0; j < b; ++j) {
      for (int64_t i = 0; i < a; ++i, dst += block_bytes) {
        std::memcpy(dst, src + static_cast<size_t>((image * a + i) * b + j) * block_bytes,
                    block_bytes);
      }
    }
  }
}

// The bytes inside of the first two spatial or channel axes of a channels_first
// tensor.
size_t BlockBytes(const Shape& shape, DType dtype) {
  size_t bytes = SizeOf(dtype);
  for (int axis = 3; axis < shape.rank(); ++axis) bytes *= static_cast<size_t>(shape[axis]);
  return bytes;
}

// Between [images, channels, rows, ...] and stream order.
void ToStreamOrder(ConstTensorView tensor, std::byte* streamed) {
  const Shape& shape = tensor.shape;
  SwapAxes(tensor.data, shape[0], shape[1], shape[2], BlockBytes(shape, tensor.dtype), streamed);
}
void FromStreamOrder(const std::byte* streamed, TensorView tensor) {
  const Shape& shape = tensor.shape;
  SwapAxes(streamed, shape[0], shape[2], shape[1], BlockBytes(shape, tensor.dtype), tensor.data);
}

}  // namespace

LayerSession::LayerSession(const LayerConfig& config, std::shared_ptr<const Weights> weights,
                           SlabComputation computation, DType dtype, bool compute_losses)
    : LayerSession(config, std::move(weights), computation, dtype, compute_losses, nullptr,
                   computation.problem().dst_shape()) {}

LayerSession::LayerSession(const LayerConfig& config, std::shared_ptr<const Weights> weights,
                           SlabComputation computation, DType dtype, bool compute_losses,
                           Finish finish, const Shape& finished_shape)
    : config_(config),
      weights_(std::move(weights)),
      computation_(std::move(computation)),
      input_dtype_(dtype),
      compute_losses_(compute_losses),
      finish_(std::move(finish)),
      output_shape_(finished_shape) {
  facts_.weights_version = weights_->version;
  facts_.images = problem().batch;
}

int64_t LayerSession::InputBytesOf(const DeconvProblem& slab) const {
  return ConstTensorView{input_dtype_, slab.src_shape(), nullptr}.size_bytes();
}

int64_t LayerSession::OutputBytesOf(const DeconvProblem& slab) const {
  return ConstTensorView{slab.dtype, slab.dst_shape(), nullptr}.size_bytes();
}

int64_t LayerSession::input_bytes() const { return InputBytesOf(problem()); }

int64_t LayerSession::buffer_bytes() const {
  const bool is_converted = input_dtype_ != problem().dtype;
  return computation_.slabs().LargestBytes([&](const DeconvProblem& slab) {
    const int64_t source = ConstTensorView{slab.dtype, slab.src_shape(), nullptr}.size_bytes();
    // Besides what is held: the slab as it is computed, unless that is the same.
    return (kSlabsHeld + (is_planar() ? 1 : 0)) * (InputBytesOf(slab) + OutputBytesOf(slab)) +
           (is_converted ? source : 0) + (finish_ == nullptr ? 0 : OutputBytesOf(slab));
  });
}

StatusOr<std::span<std::byte>> LayerSession::Room() {
  while (filling_ == nullptr) {
    if (next_slab_ == computation_.slabs().size() || !HasRoomForInput()) {
      return std::span<std::byte>();
    }
    TCONV_RETURN_IF_ERROR(BeginSlab());
  }
  return std::span(filling_->mutable_view().data, static_cast<size_t>(filling_->size_bytes()))
      .subspan(filled_bytes_);
}

void LayerSession::Fill(size_t bytes) {
  filled_bytes_ += bytes;
  if (filled_bytes_ == static_cast<size_t>(filling_->size_bytes())) EndSlab();
}

bool LayerSession::HasRoomForInput() const {
  MutexLock lock(mutex_);
  return static_cast<int>(filled_.size()) + (is_computing_ ? 1 : 0) < kSlabsHeld;
}

// Begins with the rows that the slab shares with those before it, all of which
// the last one has.
Status LayerSession::BeginSlab() {
  const Slab slab = computation_.slabs()[next_slab_];
  TCONV_ASSIGN_OR_RETURN(Tensor input, Tensor::Allocate(input_dtype_, slab.problem.src_shape(),
                                                        computation_.memory()));
  filling_ = std::make_shared<Tensor>(std::move(input));
  filled_bytes_ = 0;
  if (slab.first_out_row > 0) {
    const Slab last = computation_.slabs()[next_slab_ - 1];
    const int64_t rows = last.problem.axes[0].in;
    const int64_t halo_rows = last.first_in_row + rows - slab.first_in_row;
    const int64_t row_bytes = last_filled_->size_bytes() / rows;
    filled_bytes_ = static_cast<size_t>(halo_rows * row_bytes);
    std::memcpy(filling_->mutable_view().data,
                last_filled_->view().data + (rows - halo_rows) * row_bytes, filled_bytes_);
  }
  last_filled_.reset();
  Fill(0);
  return OkStatus();
}

void LayerSession::EndSlab() {
  last_filled_ = std::exchange(filling_, nullptr);
  MutexLock lock(mutex_);
  filled_.push_back({next_slab_++, last_filled_});
}

bool LayerSession::CanCompute() const {
  MutexLock lock(mutex_);
  return !filled_.empty() && !is_computing_ && outputs_held_ < kSlabsHeld;
}

// The input of a slab as it is computed.
StatusOr<std::shared_ptr<const Tensor>> LayerSession::SourceOf(
    const Slab& slab, std::shared_ptr<const Tensor> input) const {
  if (is_planar()) {
    TCONV_ASSIGN_OR_RETURN(Tensor planes, Tensor::Allocate(input_dtype_, slab.problem.src_shape(),
                                                           computation_.memory()));
    FromStreamOrder(input->view().data, planes.mutable_view());
    input = std::make_shared<const Tensor>(std::move(planes));
  }
  if (input_dtype_ == slab.problem.dtype) return input;
  TCONV_ASSIGN_OR_RETURN(
      Tensor converted,
      Tensor::Allocate(slab.problem.dtype, slab.problem.src_shape(), computation_.memory()));
  Convert(input->view(), converted.mutable_view());
  return std::make_shared<const Tensor>(std::move(converted));
}

// The output of a slab in stream order.
StatusOr<Tensor> LayerSession::OutputOf(const Slab& slab, ConstTensorView src) {
  TCONV_ASSIGN_OR_RETURN(Tensor dst, Tensor::Allocate(slab.problem.dtype, slab.problem.dst_shape(),
                                                      computation_.memory()));
  TCONV_RETURN_IF_ERROR(computation_.Execute(slab, src, dst.mutable_view()));
  if (facts_.strategy.empty() && dst.size_bytes() > 0) {
    TCONV_ASSIGN_OR_RETURN(const auto plan, computation_.PlanOf(slab));
    facts_.strategy = plan->strategy->name();
  }
  if (compute_losses_ && config_.activity_regularizer.has_value()) output_sums_.Add(dst.view());
  if (finish_ != nullptr) {
    TCONV_ASSIGN_OR_RETURN(dst, finish_(std::move(dst)));
  }
  if (!is_planar()) return dst;
  TCONV_ASSIGN_OR_RETURN(Tensor streamed,
                         Tensor::Allocate(dst.dtype(), dst.shape(), computation_.memory()));
  ToStreamOrder(dst.view(), streamed.mutable_view().data);
  return streamed;
}

LayerSession::FilledSlab LayerSession::TakeFilled() {
  MutexLock lock(mutex_);
  assert(!filled_.empty() && !is_computing_ && outputs_held_ < kSlabsHeld);
  FilledSlab filled = std::move(filled_.front());
  filled_.pop_front();
  is_computing_ = true;
  ++outputs_held_;
  return filled;
}

Status LayerSession::Compute() {
  FilledSlab filled = TakeFilled();
  const Slab slab = computation_.slabs()[filled.index];
  TCONV_ASSIGN_OR_RETURN(std::shared_ptr<const Tensor> src,
                         SourceOf(slab, std::move(filled.input)));
  TCONV_ASSIGN_OR_RETURN(Tensor output, OutputOf(slab, src->view()));
  src.reset();
  if (compute_losses_ && filled.index == computation_.slabs().size() - 1) {
    losses_ = LossesOf(config_, *weights_, output_sums_, problem());
  }
  MutexLock lock(mutex_);
  computed_.push_back(std::make_shared<const Tensor>(std::move(output)));
  is_computing_ = false;
  return OkStatus();
}

std::optional<LayerSession::Output> LayerSession::Take() {
  MutexLock lock(mutex_);
  if (computed_.empty()) return std::nullopt;
  Output output;
  output.owner = std::move(computed_.front());
  computed_.pop_front();
  output.bytes = {output.owner->view().data, static_cast<size_t>(output.owner->size_bytes())};
  ++slabs_taken_;
  return output;
}

void LayerSession::Release() {
  MutexLock lock(mutex_);
  --outputs_held_;
}

bool LayerSession::IsDone() const {
  MutexLock lock(mutex_);
  return slabs_taken_ == computation_.slabs().size();
}

}  // namespace tconv::server
