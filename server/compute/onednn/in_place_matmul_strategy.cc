// Where windows do not overlap (kernel <= stride), one matrix product per row of
// inputs writes a row of outputs where it belongs: [W, in_channels] times
// [in_channels, kernel_w * filters] is W blocks of the row. There is no scratch,
// and the processor waits for the memory of the output while it multiplies.
#include <algorithm>
#include <utility>
#include <vector>

#include "server/compute/cost_model.h"
#include "server/compute/onednn/compat.h"
#include "server/compute/onednn/packed_weights.h"
#include "server/compute/onednn/runtime.h"
#include "server/compute/phases.h"
#include "server/compute/strategies.h"
#include "server/compute/tiles.h"
#include "server/compute/weave.h"
#include "server/compute/weights_cast.h"

namespace tconv::server {
namespace {

using dnnl::matmul;
using dnnl::memory;

class InPlaceMatmulPlan final : public ForwardPlan {
 public:
  InPlaceMatmulPlan(std::shared_ptr<const OneDnnRuntime> runtime, WorkerPool& pool,
                    const DeconvProblem& problem, const matmul::primitive_desc& desc,
                    std::vector<std::shared_ptr<const PackedWeights>> taps, Weave weave)
      : runtime_(std::move(runtime)),
        pool_(pool),
        axes_(SpatialAxes(problem)),
        batch_(problem.batch),
        in_channels_(problem.in_channels),
        filters_(problem.out_channels),
        src_desc_(desc.src_desc()),
        dst_desc_(desc.dst_desc()),
        product_(desc),
        taps_(std::move(taps)),
        weave_(std::move(weave)),
        zeros_(static_cast<size_t>(filters_ * axes_[2].stride), 0.0f),
        expected_time_(ExpectedTime(problem)) {
    const int64_t multiplications = axes_[2].in * in_channels_ * filters_ * axes_[2].kernel *
                                    static_cast<int64_t>(taps_.size());
    rows_per_task_ = std::max<int64_t>(1, kMultiplicationsPerTask / multiplications);
  }

  // A row of inputs gives the outputs of its window of rows, and those up to the
  // next window.
  Status Execute(ConstTensorView src, TensorView dst) const override {
    const int64_t rows = batch_ * axes_[0].in * axes_[1].in;
    return pool_.Run({CeilDiv(rows, rows_per_task_), product_.scratchpad_bytes(), expected_time_},
                     [&](int64_t task, std::byte* scratch) {
                       return CallOneDnn([&] {
                         const int64_t end = std::min(rows, (task + 1) * rows_per_task_);
                         for (int64_t row = task * rows_per_task_; row < end; ++row) {
                           ExecuteRow(row, src.data, dst.data, scratch);
                         }
                         return OkStatus();
                       });
                     });
  }

  int64_t bytes_held() const override { return kPrimitiveBytes; }

  std::vector<SharedPart> shared_parts() const override {
    std::vector<SharedPart> parts;
    for (const auto& tap : taps_) parts.push_back(AsSharedPart(tap));
    return parts;
  }

 private:
  void ExecuteRow(int64_t row, const std::byte* src, std::byte* dst, std::byte* scratch) const {
    const auto& [d, h, w] = axes_;
    const int64_t ih = row % h.in;
    const int64_t id = row / h.in % d.in;
    const int64_t image = row / (h.in * d.in);
    const std::byte* src_row = src + Bytes(row * w.in * in_channels_);
    // The last window owns the rest of the output.
    const int64_t last_d = id + 1 < d.in ? (id + 1) * d.stride : d.out;
    const int64_t last_h = ih + 1 < h.in ? (ih + 1) * h.stride : h.out;
    for (int64_t od = id * d.stride; od < last_d; ++od) {
      for (int64_t oh = ih * h.stride; oh < last_h; ++oh) {
        std::byte* dst_row = dst + Bytes(((image * d.out + od) * h.out + oh) * w.out * filters_);
        const int64_t kd = od - id * d.stride;
        const int64_t kh = oh - ih * h.stride;
        if (kd < d.kernel && kh < h.kernel) {
          Multiply(*taps_[static_cast<size_t>(kd * h.kernel + kh)], src_row, dst_row, scratch);
          FinishRow(dst_row);
        } else {
          Fill(dst_row, w.out);
        }
      }
    }
  }

  void Multiply(const PackedWeights& tap, const std::byte* src, std::byte* dst,
                std::byte* scratch) const {
    product_.Execute(runtime_->engine(),
                     {{DNNL_ARG_SRC, src_desc_, src},
                      {DNNL_ARG_WEIGHTS, tap.desc, tap.data.view().data},
                      {DNNL_ARG_DST, dst_desc_, dst}},
                     scratch);
  }

  // Finishes the sums of a row, and fills what lies between its blocks.
  void FinishRow(std::byte* row) const {
    const AxisGeometry& w = axes_[2];
    const auto block = static_cast<size_t>(w.kernel * filters_);
    const auto stride = static_cast<size_t>(w.stride * filters_);
    const auto blocks = static_cast<size_t>(w.in);
    weave_.FinishRows({reinterpret_cast<float*>(row), stride, blocks, block}, 0, row, stride);
    if (block < stride) {
      weave_.FinishRows({zeros_.data(), 0, blocks - 1, stride - block}, 0,
                        row + Bytes(w.kernel * filters_), stride);
    }
    const int64_t end = (w.in - 1) * w.stride + w.kernel;
    Fill(row + Bytes(end * filters_), w.out - end);
  }

  // Outputs that no tap reaches.
  void Fill(std::byte* dst, int64_t positions) const {
    const auto filters = static_cast<size_t>(filters_);
    weave_.FinishRows({zeros_.data(), 0, static_cast<size_t>(positions), filters}, 0, dst, filters);
  }

  static size_t Bytes(int64_t elements) { return static_cast<size_t>(elements) * sizeof(float); }

  const std::shared_ptr<const OneDnnRuntime> runtime_;
  WorkerPool& pool_;
  const std::array<AxisGeometry, 3> axes_;
  const int64_t batch_;
  const int64_t in_channels_;
  const int64_t filters_;
  const memory::desc src_desc_;  // [W, in_channels]
  const memory::desc dst_desc_;  // [W, kernel_w * filters], in a row of outputs
  const SharedPrimitive product_;
  const std::vector<std::shared_ptr<const PackedWeights>> taps_;
  const Weave weave_;
  const std::vector<float> zeros_;
  const std::chrono::nanoseconds expected_time_;
  int64_t rows_per_task_ = 1;
};

class InPlaceMatmulStrategy final : public Strategy {
 public:
  InPlaceMatmulStrategy(std::shared_ptr<const OneDnnRuntime> runtime, WorkerPool& pool)
      : runtime_(std::move(runtime)), pool_(pool) {}

  std::string_view name() const override { return "in_place_matmul"; }

  Status Supports(const DeconvProblem& problem) const override {
    TCONV_RETURN_IF_ERROR(FitsOneDnn(problem));
    if (problem.data_format == DataFormat::kChannelsFirst) {
      return MakeError(StatusCode::kUnimplemented, "computes channels_last only");
    }
    if (problem.dtype != DType::kFloat32) {
      return MakeError(StatusCode::kUnimplemented, "sums in the output, which must be float32");
    }
    for (const AxisGeometry& axis : problem.axes) {
      const int64_t end = (axis.in - 1) * axis.stride + axis.effective_kernel();
      if (axis.effective_kernel() > axis.stride) {
        return MakeError(StatusCode::kUnimplemented, "windows overlap");
      }
      if (axis.crop_begin > 0 || axis.out < end) {
        return MakeError(StatusCode::kUnimplemented, "windows are cropped");
      }
    }
    return OkStatus();
  }

  std::chrono::nanoseconds EstimatedTime(const DeconvProblem& problem) const override {
    return InPlaceMatmulTime(problem);
  }

  bool FinishesWholePositions(const DeconvProblem&) const override { return true; }

  StatusOr<std::unique_ptr<const ForwardPlan>> Compile(
      const DeconvProblem& problem, std::shared_ptr<const Weights> weights) const override {
    TCONV_ASSIGN_OR_RETURN(Weave weave, Weave::Make(problem, *weights));
    TCONV_ASSIGN_OR_RETURN(
        const CastWeight kernel,
        CastWeight::Make(weights->kernel.view(), DType::kFloat32, DType::kFloat32));
    std::unique_ptr<const ForwardPlan> plan;
    TCONV_RETURN_IF_ERROR(CallOneDnn([&]() -> Status {
      TCONV_ASSIGN_OR_RETURN(std::vector<std::shared_ptr<const PackedWeights>> taps,
                             PackTaps(problem, weights, kernel.view()));
      const auto desc = MakeDesc(problem, taps.front()->desc);
      plan = std::make_unique<const InPlaceMatmulPlan>(runtime_, pool_, problem, desc,
                                                       std::move(taps), std::move(weave));
      return OkStatus();
    }));
    return plan;
  }

 private:
  // Throws dnnl::error.
  matmul::primitive_desc MakeDesc(const DeconvProblem& problem,
                                  const memory::desc& weights_desc) const {
    constexpr auto type = memory::data_type::f32;
    const AxisGeometry& w = problem.axes.back();
    return MakePrimitiveDesc<matmul>(
        runtime_->engine(), ScratchpadFromCaller(),
        memory::desc({w.in, problem.in_channels}, type, memory::format_tag::ab), weights_desc,
        memory::desc({w.in, w.kernel * problem.out_channels}, type,
                     memory::dims{w.stride * problem.out_channels, 1}));
  }

  // The kernel's rows of taps, each packed or found packed.
  StatusOr<std::vector<std::shared_ptr<const PackedWeights>>> PackTaps(
      const DeconvProblem& problem, const std::shared_ptr<const Weights>& weights,
      ConstTensorView kernel) const {
    std::vector<std::shared_ptr<const PackedWeights>> taps;
    const auto [d, h, w] = SpatialAxes(problem);
    const memory::dims dims = {problem.in_channels, w.kernel * problem.out_channels};
    const memory::desc any(dims, memory::data_type::f32, memory::format_tag::any);
    const memory::desc plain(dims, memory::data_type::f32, memory::format_tag::ba);
    const memory::desc packed_desc = MakeDesc(problem, any).weights_desc();
    for (int64_t kd = 0; kd < d.kernel; ++kd) {
      for (int64_t kh = 0; kh < h.kernel; ++kh) {
        const int64_t index = kd * h.kernel + kh;
        std::shared_ptr<const PackedWeights> packed = packed_weights_.Find(weights, index);
        if (packed == nullptr || packed->desc != packed_desc) {
          const std::byte* tap =
              kernel.data + static_cast<size_t>(index * dims[0] * dims[1]) * sizeof(float);
          TCONV_ASSIGN_OR_RETURN(Tensor data, runtime_->Reordered(tap, plain, packed_desc));
          packed =
              std::make_shared<const PackedWeights>(PackedWeights{std::move(data), packed_desc});
          packed_weights_.Put(weights, index, packed);
        }
        taps.push_back(std::move(packed));
      }
    }
    return taps;
  }

  const std::shared_ptr<const OneDnnRuntime> runtime_;
  WorkerPool& pool_;
  mutable PackedWeightsIndex<int64_t> packed_weights_;
};

}  // namespace

std::unique_ptr<const Strategy> MakeInPlaceMatmulStrategy(
    std::shared_ptr<const OneDnnRuntime> runtime, WorkerPool& pool) {
  return std::make_unique<const InPlaceMatmulStrategy>(std::move(runtime), pool);
}

}  // namespace tconv::server
