// Both gradients by the library's convolutions, for layers with stride 1 whose kernel is
// brought into its layout and back in no time: the gradient by the input is a convolution
// of diff_dst, and that by the kernel is the gradient of this convolution by its weights.
// Images, or a band of one, are a task of each.
#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "server/compute/backward_strategies.h"
#include "server/compute/cost_model.h"
#include "server/compute/onednn/compat.h"
#include "server/compute/onednn/runtime.h"
#include "server/compute/phases.h"
#include "server/compute/tiles.h"
#include "server/compute/weave_kernels.h"

namespace tconv::server {
namespace {

using dnnl::memory;
using BySource = dnnl::convolution_forward;
using ByKernel = dnnl::convolution_backward_weights;

constexpr auto kFloats = memory::data_type::f32;

// Each task has sums of its own of the kernel's gradient, which are added at the end.
constexpr int64_t kMostKernel = 64 << 10;
constexpr int64_t kMostParts = 8;
constexpr int64_t kMultiplicationsPerPart = 2'000'000;
constexpr int64_t kLeastBand = 4;

// Images [first_image, first_image + images), and of them a range of the outermost axis.
struct Part {
  int64_t first_image = 0;
  int64_t images = 0;
  Range inputs;
  Range outputs;  // that these inputs reach
};

int64_t KernelSize(const DeconvProblem& problem) {
  int64_t size = problem.in_channels * problem.out_channels;
  for (const AxisGeometry& axis : problem.axes) size *= axis.kernel;
  return size;
}

// From the first output that the inputs reach to the last, in the image or not.
Range ReachOf(const AxisGeometry& axis, const Range& inputs) {
  return {inputs.begin * axis.stride - axis.crop_begin,
          (inputs.end - 1) * axis.stride + axis.effective_kernel() - axis.crop_begin};
}

// The cuts depend on the problem alone.
std::vector<Part> PartsOf(const DeconvProblem& problem) {
  const AxisGeometry& axis = problem.axes.front();
  const int64_t multiplications =
      problem.src_shape().num_elements() / problem.in_channels * KernelSize(problem);
  const int64_t wanted =
      std::clamp<int64_t>(multiplications / kMultiplicationsPerPart, 1, kMostParts);
  const int64_t image_sets = std::min(problem.batch, wanted);
  const int64_t bands = std::clamp<int64_t>(wanted / image_sets, 1, CeilDiv(axis.in, kLeastBand));
  std::vector<Part> parts;
  for (int64_t set = 0; set < image_sets; ++set) {
    for (int64_t band = 0; band < bands; ++band) {
      Part part;
      part.first_image = set * problem.batch / image_sets;
      part.images = (set + 1) * problem.batch / image_sets - part.first_image;
      part.inputs = {band * axis.in / bands, (band + 1) * axis.in / bands};
      part.outputs = Intersection(ReachOf(axis, part.inputs), {0, axis.out});
      parts.push_back(part);
    }
  }
  return parts;
}

// [n, channels, spatial...] of a part, channels last in memory.
memory::desc ImagesDesc(const DeconvProblem& problem, const Part& part, int64_t channels,
                        const Range& outermost, int64_t AxisGeometry::*extent) {
  using Tag = memory::format_tag;
  constexpr Tag kTags[] = {Tag::nwc, Tag::nhwc, Tag::ndhwc};
  memory::dims dims = {part.images, channels, outermost.size()};
  for (size_t i = 1; i < problem.axes.size(); ++i) dims.push_back(problem.axes[i].*extent);
  return memory::desc(dims, kFloats, kTags[problem.axes.size() - 1]);
}

// [ic, oc, spatial...], the weights of a convolution from oc to ic.
memory::dims KernelDims(const DeconvProblem& problem) {
  memory::dims dims = {problem.in_channels, problem.out_channels};
  for (const AxisGeometry& axis : problem.axes) dims.push_back(axis.kernel);
  return dims;
}

// Those weights as Keras stores them: [spatial..., oc, ic].
memory::desc KernelDesc(const DeconvProblem& problem) {
  memory::dims strides = {1, problem.in_channels};
  int64_t stride = problem.in_channels * problem.out_channels;
  for (size_t i = problem.axes.size(); i-- > 0;) {
    strides.insert(strides.begin() + 2, stride);
    stride *= problem.axes[i].kernel;
  }
  return memory::desc(KernelDims(problem), kFloats, strides);
}

// The two primitives of a part.
struct PartConvolution {
  dnnl::memory::desc diff_dst_desc;
  dnnl::memory::desc src_desc;
  dnnl::memory::desc kernel_desc;
  dnnl::memory::desc diff_kernel_desc;
  SharedPrimitive by_source;
  SharedPrimitive by_kernel;
  bool is_reference = false;
};

// `kernel` and `diff_kernel` are layouts of the weights. Throws dnnl::error.
PartConvolution MakePartConvolution(const dnnl::engine& engine, const DeconvProblem& problem,
                                    const Part& part, const memory::desc& kernel,
                                    const memory::desc& diff_kernel) {
  PartConvolution convolution;
  convolution.diff_dst_desc =
      ImagesDesc(problem, part, problem.out_channels, part.outputs, &AxisGeometry::out);
  convolution.src_desc =
      ImagesDesc(problem, part, problem.in_channels, part.inputs, &AxisGeometry::in);
  memory::dims strides, dilations, begin, end;
  for (const AxisGeometry& axis : problem.axes) {
    strides.push_back(axis.stride);
    dilations.push_back(axis.dilation - 1);
    begin.push_back(axis.crop_begin);
    end.push_back(std::max<int64_t>(0, axis.crop_end()));
  }
  const Range reach = ReachOf(problem.axes.front(), part.inputs);
  begin.front() = part.outputs.begin - reach.begin;
  end.front() = reach.end - part.outputs.end;
  constexpr auto kDirect = dnnl::algorithm::convolution_direct;
  const auto forward = MakePrimitiveDesc<BySource>(
      engine, ScratchpadFromCaller(), dnnl::prop_kind::forward_training, kDirect,
      convolution.diff_dst_desc, kernel, convolution.src_desc, strides, dilations, begin, end);
  const auto backward = MakeBackwardPrimitiveDesc<ByKernel>(
      engine, ScratchpadFromCaller(), forward, kDirect, convolution.diff_dst_desc, diff_kernel,
      convolution.src_desc, strides, dilations, begin, end);
  convolution.is_reference = IsReference(forward) || IsReference(backward);
  convolution.kernel_desc = forward.weights_desc();
  convolution.diff_kernel_desc = backward.diff_weights_desc();
  convolution.by_source = SharedPrimitive(forward);
  convolution.by_kernel = SharedPrimitive(backward);
  return convolution;
}

// Of the first part, in layouts that the library chooses. Throws dnnl::error.
PartConvolution MakeFirstConvolution(const dnnl::engine& engine, const DeconvProblem& problem) {
  const memory::desc any(KernelDims(problem), kFloats, memory::format_tag::any);
  return MakePartConvolution(engine, problem, PartsOf(problem).front(), any, any);
}

// What a part computes with, or what it leaves.
struct Buffers {
  const float* kernel;  // in the layout of the primitives
  const float* src;
  const float* diff_dst;
  float* diff_src;  // null when not asked for
  float* sums;      // of all parts; null when not asked for
};

class ConvolutionBackwardPlan final : public BackwardPlan {
 public:
  // Throws dnnl::error.
  ConvolutionBackwardPlan(std::shared_ptr<const OneDnnRuntime> runtime, WorkerPool& pool,
                          const DeconvProblem& problem)
      : runtime_(std::move(runtime)),
        pool_(pool),
        problem_(problem),
        keras_desc_(KernelDesc(problem)),
        parts_(PartsOf(problem)),
        expected_time_(2 * ExpectedTime(problem)) {
    const dnnl::engine& engine = runtime_->engine();
    convolutions_.reserve(parts_.size());
    convolutions_.push_back(MakeFirstConvolution(engine, problem));
    const PartConvolution& first = convolutions_.front();
    for (size_t i = 1; i < parts_.size(); ++i) {
      convolutions_.push_back(MakePartConvolution(engine, problem, parts_[i], first.kernel_desc,
                                                  first.diff_kernel_desc));
    }
    pack_ = MakeReorder(keras_desc_, first.kernel_desc);
    unpack_ = MakeReorder(first.diff_kernel_desc, keras_desc_);
    scratch_bytes_ = std::max(pack_.scratchpad_bytes(), unpack_.scratchpad_bytes());
    for (const PartConvolution& convolution : convolutions_) {
      scratch_bytes_ = std::max({scratch_bytes_, convolution.by_source.scratchpad_bytes(),
                                 convolution.by_kernel.scratchpad_bytes()});
    }
  }

  Status Execute(const BackwardArguments& arguments, BlockPool& memory) const override {
    TCONV_ASSIGN_OR_RETURN(Tensor kernel,
                           AllocateLike(convolutions_.front().kernel_desc,
                                        arguments.diff_src.data == nullptr ? 0 : 1, memory));
    // One more than parts, for their sum.
    const int64_t sums_count = arguments.diff_kernel.data == nullptr ? 0 : part_count() + 1;
    TCONV_ASSIGN_OR_RETURN(
        Tensor sums, AllocateLike(convolutions_.front().diff_kernel_desc, sums_count, memory));
    const Buffers buffers = {.kernel = Values(kernel.mutable_view()),
                             .src = Values(arguments.src),
                             .diff_dst = Values(arguments.diff_dst),
                             .diff_src = Values(arguments.diff_src),
                             .sums = sums_count == 0 ? nullptr : Values(sums.mutable_view())};
    if (buffers.diff_src != nullptr) {
      TCONV_RETURN_IF_ERROR(RunTasks(1, [&](int64_t, std::byte* scratch) {
        Reorder(pack_, keras_desc_, Values(arguments.kernel), convolutions_.front().kernel_desc,
                Values(kernel.mutable_view()), scratch);
      }));
    }
    TCONV_RETURN_IF_ERROR(RunTasks(2 * part_count(), [&](int64_t task, std::byte* scratch) {
      RunPart(static_cast<size_t>(task / 2), task % 2 == 0, buffers, scratch);
    }));
    if (buffers.sums == nullptr) return OkStatus();
    return RunTasks(1, [&](int64_t, std::byte* scratch) {
      Reorder(unpack_, convolutions_.front().diff_kernel_desc, AddParts(buffers.sums), keras_desc_,
              Values(arguments.diff_kernel), scratch);
    });
  }

  int64_t bytes_held() const override { return 2 * part_count() * kPrimitiveBytes; }

 private:
  static const float* Values(ConstTensorView tensor) {
    return reinterpret_cast<const float*>(tensor.data);
  }
  static float* Values(TensorView tensor) { return reinterpret_cast<float*>(tensor.data); }

  int64_t part_count() const { return static_cast<int64_t>(parts_.size()); }
  int64_t sums_size() const {
    return static_cast<int64_t>(convolutions_.front().diff_kernel_desc.get_size() / sizeof(float));
  }

  static StatusOr<Tensor> AllocateLike(const memory::desc& desc, int64_t count, BlockPool& memory) {
    const auto floats = static_cast<int64_t>(desc.get_size() / sizeof(float));
    return Tensor::Allocate(DType::kFloat32, {count, floats}, memory);
  }

  SharedPrimitive MakeReorder(const memory::desc& from, const memory::desc& to) const {
    const dnnl::engine& engine = runtime_->engine();
    return SharedPrimitive(
        dnnl::reorder::primitive_desc(engine, from, engine, to, ScratchpadFromCaller()));
  }

  void Reorder(const SharedPrimitive& reorder, const memory::desc& from, const float* values,
               const memory::desc& to, float* result, std::byte* scratch) const {
    reorder.Execute(runtime_->engine(), {{DNNL_ARG_FROM, from, values}, {DNNL_ARG_TO, to, result}},
                    scratch);
  }

  void RunPart(size_t index, bool is_by_source, const Buffers& buffers, std::byte* scratch) const {
    const Part& part = parts_[index];
    const PartConvolution& convolution = convolutions_[index];
    const int64_t src = OffsetOf(problem_.src_shape(), part, part.inputs.begin);
    const int64_t dst = OffsetOf(problem_.linear_shape(), part, part.outputs.begin);
    const PrimitiveArgument diff_dst = {DNNL_ARG_SRC, convolution.diff_dst_desc,
                                        buffers.diff_dst + dst};
    if (is_by_source && buffers.diff_src != nullptr) {
      convolution.by_source.Execute(runtime_->engine(),
                                    {diff_dst,
                                     {DNNL_ARG_WEIGHTS, convolution.kernel_desc, buffers.kernel},
                                     {DNNL_ARG_DST, convolution.src_desc, buffers.diff_src + src}},
                                    scratch);
    }
    if (!is_by_source && buffers.sums != nullptr) {
      convolution.by_kernel.Execute(runtime_->engine(),
                                    {diff_dst,
                                     {DNNL_ARG_DIFF_DST, convolution.src_desc, buffers.src + src},
                                     {DNNL_ARG_DIFF_WEIGHTS, convolution.diff_kernel_desc,
                                      buffers.sums + static_cast<int64_t>(index) * sums_size()}},
                                    scratch);
    }
  }

  // Where a part begins in images of `shape`, channels_last.
  static int64_t OffsetOf(const Shape& shape, const Part& part, int64_t outermost) {
    const int64_t line = shape.num_elements() / (shape[0] * shape[1]);
    return (part.first_image * shape[1] + outermost) * line;
  }

  // The sum of all parts, in their order.
  const float* AddParts(float* sums) const {
    const float* terms[kMostParts];
    for (int64_t part = 0; part < part_count(); ++part) terms[part] = sums + part * sums_size();
    float* total = sums + part_count() * sums_size();
    WeaveKernelsForThisCpu().sum_rows(terms, parts_.size(), static_cast<size_t>(sums_size()),
                                      total);
    return total;
  }

  // Calls task(index, scratch), which may throw dnnl::error.
  template <typename Task>
  Status RunTasks(int64_t tasks, Task task) const {
    return pool_.Run({tasks, scratch_bytes_, expected_time_},
                     [&](int64_t index, std::byte* scratch) {
                       return CallOneDnn([&] {
                         task(index, scratch);
                         return OkStatus();
                       });
                     });
  }

  const std::shared_ptr<const OneDnnRuntime> runtime_;
  WorkerPool& pool_;
  const DeconvProblem problem_;
  const memory::desc keras_desc_;
  const std::vector<Part> parts_;
  const std::chrono::nanoseconds expected_time_;
  std::vector<PartConvolution> convolutions_;  // one for each part
  SharedPrimitive pack_;
  SharedPrimitive unpack_;
  size_t scratch_bytes_ = 0;
};

class ConvolutionBackwardStrategy final : public BackwardStrategy {
 public:
  ConvolutionBackwardStrategy(std::shared_ptr<const OneDnnRuntime> runtime, WorkerPool& pool)
      : runtime_(std::move(runtime)), pool_(pool) {}

  std::string_view name() const override { return "convolution"; }

  Status Supports(const DeconvProblem& problem) const override {
    TCONV_RETURN_IF_ERROR(FitsOneDnn(problem));
    if (problem.data_format == DataFormat::kChannelsFirst) {
      return MakeError(StatusCode::kUnimplemented, "computes channels_last only");
    }
    for (const AxisGeometry& axis : problem.axes) {
      if (axis.stride > 1) {
        return MakeError(StatusCode::kUnimplemented, "is for stride 1, where windows overlap most");
      }
    }
    if (KernelSize(problem) > kMostKernel) {
      return MakeError(StatusCode::kUnimplemented, "packing a kernel of {} elements takes long",
                       KernelSize(problem));
    }
    const std::vector<Part> parts = PartsOf(problem);
    if (std::any_of(parts.begin(), parts.end(),
                    [](const Part& part) { return part.outputs.size() == 0; })) {
      return MakeError(StatusCode::kUnimplemented, "a part of the input reaches no output");
    }
    return CallOneDnn([&]() -> Status {
      if (!MakeFirstConvolution(runtime_->engine(), problem).is_reference) return OkStatus();
      return MakeError(StatusCode::kUnimplemented, "oneDNN has plain loops only");
    });
  }

  std::chrono::nanoseconds EstimatedTime(const DeconvProblem& problem) const override {
    return ConvolutionBackwardTime(problem);
  }

  StatusOr<std::unique_ptr<const BackwardPlan>> Compile(
      const DeconvProblem& problem) const override {
    std::unique_ptr<const BackwardPlan> plan;
    TCONV_RETURN_IF_ERROR(CallOneDnn([&] {
      plan = std::make_unique<const ConvolutionBackwardPlan>(runtime_, pool_, problem);
      return OkStatus();
    }));
    return plan;
  }

 private:
  const std::shared_ptr<const OneDnnRuntime> runtime_;
  WorkerPool& pool_;
};

}  // namespace

std::unique_ptr<const BackwardStrategy> MakeConvolutionBackwardStrategy(
    std::shared_ptr<const OneDnnRuntime> runtime, WorkerPool& pool) {
  return std::make_unique<const ConvolutionBackwardStrategy>(std::move(runtime), pool);
}

}  // namespace tconv::server
