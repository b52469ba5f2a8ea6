#include <chrono>
#include <utility>
#include <vector>

#include "server/compute/cost_model.h"
#include "server/compute/onednn/compat.h"
#include "server/compute/onednn/runtime.h"
#include "server/compute/strategies.h"
#include "server/compute/tiles.h"
#include "server/compute/weave.h"
#include "server/compute/weights_cast.h"

namespace tconv::server {
namespace {

using dnnl::memory;
using Deconvolution = dnnl::deconvolution_forward;

// [1, channels, spatial...] with the strides of the data format.
memory::desc ImageDesc(const DeconvProblem& problem, int64_t channels,
                       int64_t AxisGeometry::*extent) {
  memory::dims dims = {1, channels};
  for (const AxisGeometry& axis : problem.axes) dims.push_back(axis.*extent);
  using Tag = memory::format_tag;
  constexpr Tag kLast[] = {Tag::nwc, Tag::nhwc, Tag::ndhwc};
  constexpr Tag kFirst[] = {Tag::ncw, Tag::nchw, Tag::ncdhw};
  const size_t index = problem.axes.size() - 1;
  const bool is_last = problem.data_format == DataFormat::kChannelsLast;
  return memory::desc(dims, memory::data_type::f32, is_last ? kLast[index] : kFirst[index]);
}

memory::dims WeightDims(const DeconvProblem& problem) {
  memory::dims dims = {problem.out_channels, problem.in_channels};
  for (const AxisGeometry& axis : problem.axes) dims.push_back(axis.kernel);
  return dims;
}

// [oc, ic, spatial...] over the kernel as Keras stores it: [spatial..., oc, ic].
memory::desc KerasKernelDesc(const DeconvProblem& problem) {
  memory::dims strides = {problem.in_channels, 1};
  int64_t stride = problem.in_channels * problem.out_channels;
  for (size_t i = problem.axes.size(); i-- > 0;) {
    strides.insert(strides.begin() + 2, stride);
    stride *= problem.axes[i].kernel;
  }
  return memory::desc(WeightDims(problem), memory::data_type::f32, strides);
}

// Of one image. Throws dnnl::error.
Deconvolution::primitive_desc MakeDesc(const dnnl::engine& engine, const DeconvProblem& problem) {
  memory::dims strides, dilations, padding_begin, padding_end;
  for (const AxisGeometry& axis : problem.axes) {
    strides.push_back(axis.stride);
    dilations.push_back(axis.dilation - 1);
    padding_begin.push_back(axis.crop_begin);
    padding_end.push_back(axis.crop_end());
  }
  return MakePrimitiveDesc<Deconvolution>(
      engine, ScratchpadFromCaller(), dnnl::prop_kind::forward_inference,
      dnnl::algorithm::deconvolution_direct,
      ImageDesc(problem, problem.in_channels, &AxisGeometry::in),
      memory::desc(WeightDims(problem), memory::data_type::f32, memory::format_tag::any),
      ImageDesc(problem, problem.out_channels, &AxisGeometry::out), strides, dilations,
      padding_begin, padding_end);
}

class DeconvolutionPlan final : public ForwardPlan {
 public:
  DeconvolutionPlan(std::shared_ptr<const OneDnnRuntime> runtime, WorkerPool& pool,
                    const DeconvProblem& problem, const Deconvolution::primitive_desc& desc,
                    Tensor packed_weights, Weave weave)
      : runtime_(std::move(runtime)),
        pool_(pool),
        dtype_(problem.dtype),
        data_format_(problem.data_format),
        batch_(problem.batch),
        expected_time_(ExpectedTime(problem)),
        channels_(static_cast<size_t>(problem.out_channels)),
        positions_(static_cast<size_t>(problem.linear_shape().num_elements()) /
                   (static_cast<size_t>(problem.batch) * channels_)),
        src_desc_(desc.src_desc()),
        weights_desc_(desc.weights_desc()),
        dst_desc_(desc.dst_desc()),
        deconvolution_(desc),
        packed_weights_(std::move(packed_weights)),
        weave_(std::move(weave)) {}

  Status Execute(ConstTensorView src, TensorView dst) const override {
    const int64_t src_bytes = src.size_bytes() / batch_;
    const int64_t dst_bytes = dst.size_bytes() / batch_;
    return pool_.Run({batch_, ScratchBytes(), expected_time_}, [&](int64_t n, std::byte* scratch) {
      return CallOneDnn([&] {
        ExecuteImage(src.data + n * src_bytes, dst.data + n * dst_bytes, scratch);
        return OkStatus();
      });
    });
  }

  // The library makes a deconvolution of other primitives. Measured: 30 to 230 KiB.
  int64_t bytes_held() const override { return packed_weights_.size_bytes() + 2 * kPrimitiveBytes; }
  std::vector<SharedPart> shared_parts() const override { return {}; }

 private:
  bool is_narrow() const { return dtype_ != DType::kFloat32; }

  // 16-bit images are widened, and their sums kept, in scratch memory.
  size_t ScratchBytes() const {
    const size_t wide =
        RoundUpToAlignment(src_desc_.get_size()) + RoundUpToAlignment(dst_desc_.get_size());
    return deconvolution_.scratchpad_bytes() + (is_narrow() ? wide : 0);
  }

  void ExecuteImage(const std::byte* src, std::byte* dst, std::byte* scratch) const {
    std::byte* sums = dst;
    if (is_narrow()) {
      const Shape shape = {static_cast<int64_t>(src_desc_.get_size() / sizeof(float))};
      Convert({dtype_, shape, src}, {DType::kFloat32, shape, scratch});
      src = scratch;
      sums = scratch + RoundUpToAlignment(src_desc_.get_size());
      scratch = sums + RoundUpToAlignment(dst_desc_.get_size());
    }
    deconvolution_.Execute(runtime_->engine(),
                           {{DNNL_ARG_SRC, src_desc_, src},
                            {DNNL_ARG_WEIGHTS, weights_desc_, packed_weights_.view().data},
                            {DNNL_ARG_DST, dst_desc_, sums}},
                           scratch);
    FinishImage(reinterpret_cast<float*>(sums), dst);
  }

  // `sums` lie as the output does, and are the output itself in float32.
  void FinishImage(float* sums, std::byte* dst) const {
    if (data_format_ == DataFormat::kChannelsLast) {
      weave_.FinishRows({sums, channels_, positions_, channels_}, 0, dst, channels_);
      return;
    }
    for (size_t channel = 0; channel < channels_; ++channel) {
      float* plane = sums + channel * positions_;
      weave_.FinishPlane(plane, positions_, channel);
      if (!is_narrow()) continue;
      weave_.Interleave(plane, positions_, 1, positions_,
                        dst + channel * positions_ * weave_.element_bytes());
    }
  }

  const std::shared_ptr<const OneDnnRuntime> runtime_;
  WorkerPool& pool_;
  const DType dtype_;
  const DataFormat data_format_;
  const int64_t batch_;
  const std::chrono::nanoseconds expected_time_;
  const size_t channels_;   // of the output
  const size_t positions_;  // of an output image
  const memory::desc src_desc_;
  const memory::desc weights_desc_;
  const memory::desc dst_desc_;
  const SharedPrimitive deconvolution_;
  const Tensor packed_weights_;
  const Weave weave_;
};

class DeconvolutionStrategy final : public Strategy {
 public:
  DeconvolutionStrategy(std::shared_ptr<const OneDnnRuntime> runtime, WorkerPool& pool)
      : runtime_(std::move(runtime)), pool_(pool) {}

  std::string_view name() const override { return "deconvolution"; }

  Status Supports(const DeconvProblem& problem) const override { return FitsOneDnn(problem); }

  std::chrono::nanoseconds EstimatedTime(const DeconvProblem& problem) const override {
    return DeconvolutionTime(problem);
  }

  bool FinishesWholePositions(const DeconvProblem& problem) const override {
    return problem.data_format == DataFormat::kChannelsLast;
  }

  StatusOr<std::unique_ptr<const ForwardPlan>> Compile(
      const DeconvProblem& problem, std::shared_ptr<const Weights> weights) const override {
    TCONV_ASSIGN_OR_RETURN(Weave weave, Weave::Make(problem, *weights));
    TCONV_ASSIGN_OR_RETURN(
        const CastWeight kernel,
        CastWeight::Make(weights->kernel.view(), problem.dtype, DType::kFloat32));
    std::unique_ptr<const ForwardPlan> plan;
    TCONV_RETURN_IF_ERROR(CallOneDnn([&]() -> Status {
      const auto desc = MakeDesc(runtime_->engine(), problem);
      TCONV_ASSIGN_OR_RETURN(
          Tensor packed,
          runtime_->Reordered(kernel.view().data, KerasKernelDesc(problem), desc.weights_desc()));
      plan = std::make_unique<const DeconvolutionPlan>(runtime_, pool_, problem, desc,
                                                       std::move(packed), std::move(weave));
      return OkStatus();
    }));
    return plan;
  }

 private:
  const std::shared_ptr<const OneDnnRuntime> runtime_;
  WorkerPool& pool_;
};

}  // namespace

std::unique_ptr<const Strategy> MakeDeconvolutionStrategy(
    std::shared_ptr<const OneDnnRuntime> runtime, WorkerPool& pool) {
  return std::make_unique<const DeconvolutionStrategy>(std::move(runtime), pool);
}

}  // namespace tconv::server
