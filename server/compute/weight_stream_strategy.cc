// For small images with many channels, whose weights are far larger than they:
// every weight is read from memory once, in the order in which it lies there,
// and multiplied with all inputs that it carries to an output while the sums of
// 32 filters stay in cache. General matrix products wait for the memory and for
// the multipliers in turn; here the one hides behind the other.
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "server/compute/cost_model.h"
#include "server/compute/packed_index.h"
#include "server/compute/strategies.h"
#include "server/compute/stream_kernels.h"
#include "server/compute/tiles.h"
#include "server/compute/weave.h"
#include "server/compute/weight_stream_layout.h"
#include "server/compute/weights_cast.h"

namespace tconv::server {
namespace {

constexpr auto kFilters = static_cast<int64_t>(kStreamFilters);
// The inputs of so many channels and a panel of rows stay in the L1 cache.
constexpr int64_t kChannelsPerChunk = 256;
// Sums of more outputs would leave the L2 cache.
constexpr int64_t kMaxOutputs = 8192;
// Every set of taps has a copy of its inputs; kernels as large as images make
// thousands of sets. These are 64 MiB, more than any weights worth streaming
// should cost.
constexpr int64_t kMaxGathered = 16 << 20;

class WeightStreamPlan final : public ForwardPlan {
 public:
  WeightStreamPlan(WorkerPool& pool, const DeconvProblem& problem, StreamLayout layout,
                   std::shared_ptr<const Tensor> weights, Weave weave)
      : pool_(pool),
        problem_(problem),
        layout_(std::move(layout)),
        weights_(std::move(weights)),
        weave_(std::move(weave)),
        expected_time_(ExpectedTime(problem)),
        kernels_(StreamKernelsForThisCpu()),
        is_planar_(problem.data_format == DataFormat::kChannelsFirst) {
    for (size_t set = 0; set < layout_.input_sets.size(); ++set) {
      set_offsets_.push_back(gathered_size_);
      gathered_size_ += problem.batch * layout_.InputsOf(set) * problem.in_channels;
    }
  }

  Status Execute(ConstTensorView src, TensorView dst) const override {
    if (src.dtype == DType::kFloat32) return ExecuteAsFloat(src, dst);
    TCONV_ASSIGN_OR_RETURN(const Tensor wide, Tensor::Converted(src, DType::kFloat32));
    return ExecuteAsFloat(wide.view(), dst);
  }

  int64_t bytes_held() const override {
    int64_t bytes = 0;
    for (const StreamTap& tap : layout_.taps) {
      bytes += static_cast<int64_t>(sizeof(tap) + tap.outputs.size() * sizeof(int64_t));
    }
    return bytes;
  }

  std::vector<SharedPart> shared_parts() const override {
    return {{weights_.get(), weights_->size_bytes()}};
  }

 private:
  // Rows of a set of inputs, those of all images, that are multiplied together.
  struct Panel {
    int64_t first_row;
    int64_t rows;
  };

  Status ExecuteAsFloat(ConstTensorView src, TensorView dst) const {
    TCONV_ASSIGN_OR_RETURN(Tensor gathered,
                           Tensor::Allocate(DType::kFloat32, Shape{gathered_size_}));
    auto* inputs = reinterpret_cast<float*>(gathered.mutable_view().data);
    const auto sets = static_cast<int64_t>(layout_.input_sets.size());
    TCONV_RETURN_IF_ERROR(
        pool_.Run({.tasks = sets, .expected_time = ConversionTime(gathered_size_)},
                  [&](int64_t set, std::byte*) {
                    Gather(static_cast<size_t>(set), src.values<float>().data(), inputs);
                    return OkStatus();
                  }));
    const size_t image_bytes = static_cast<size_t>(Outputs()) * kStreamFilters * sizeof(float);
    const size_t sums_bytes = static_cast<size_t>(problem_.batch) * image_bytes;
    const size_t scratch_bytes = sums_bytes + (is_planar_ ? image_bytes : 0);
    return pool_.Run({CeilDiv(problem_.out_channels, kFilters), scratch_bytes, expected_time_},
                     [&](int64_t filter_set, std::byte* scratch) {
                       auto* sums = reinterpret_cast<float*>(scratch);
                       std::memset(scratch, 0, sums_bytes);
                       Multiply(filter_set, inputs, sums);
                       Finish(filter_set, sums, scratch + sums_bytes, dst.data);
                       return OkStatus();
                     });
  }

  int64_t Outputs() const {
    return layout_.axes[0].out * layout_.axes[1].out * layout_.axes[2].out;
  }

  template <typename Visitor>
  void ForEachPanel(size_t set, Visitor visit) const {
    const int64_t rows = problem_.batch * layout_.InputsOf(set);
    const int64_t panels = CeilDiv(rows, static_cast<int64_t>(kernels_.max_rows));
    for (int64_t i = 0; i < panels; ++i) {
      const int64_t first = rows * i / panels;
      visit(Panel{first, rows * (i + 1) / panels - first});
    }
  }

  // The inputs of a set: panels of [in_channels][rows].
  void Gather(size_t set, const float* src, float* gathered) const {
    const auto& [d, h, w] = layout_.input_sets[set];
    const auto& axes = layout_.axes;
    const int64_t positions = axes[0].in * axes[1].in * axes[2].in;
    const int64_t position_stride = is_planar_ ? 1 : problem_.in_channels;
    const int64_t channel_stride = is_planar_ ? positions : 1;
    std::vector<const float*> rows;
    for (int64_t image = 0; image < problem_.batch; ++image) {
      const float* first = src + image * positions * problem_.in_channels;
      for (int64_t id = d.begin; id < d.end; ++id) {
        for (int64_t ih = h.begin; ih < h.end; ++ih) {
          for (int64_t iw = w.begin; iw < w.end; ++iw) {
            rows.push_back(first + ((id * axes[1].in + ih) * axes[2].in + iw) * position_stride);
          }
        }
      }
    }
    float* out = gathered + set_offsets_[set];
    ForEachPanel(set, [&](const Panel& panel) {
      const float* const* of_panel = rows.data() + panel.first_row;
      for (int64_t c = 0; c < problem_.in_channels; ++c) {
        for (int64_t r = 0; r < panel.rows; ++r) *out++ = of_panel[r][c * channel_stride];
      }
    });
  }

  // sums[image][output][filter of the set]
  void Multiply(int64_t filter_set, const float* gathered, float* sums) const {
    const int64_t channels = problem_.in_channels;
    const auto taps = static_cast<int64_t>(layout_.taps.size());
    int64_t weight = filter_set * taps * channels * kFilters;
    std::vector<float*> rows;
    for (const StreamTap& tap : layout_.taps) {
      rows.clear();
      for (int64_t image = 0; image < problem_.batch; ++image) {
        for (const int64_t output : tap.outputs) {
          rows.push_back(sums + (image * Outputs() + output) * kFilters);
        }
      }
      const float* inputs = gathered + set_offsets_[tap.input_set];
      for (int64_t c = 0; c < channels; c += kChannelsPerChunk) {
        const int64_t chunk = std::min(kChannelsPerChunk, channels - c);
        ForEachPanel(tap.input_set, [&](const Panel& panel) {
          MultiplyPanel(inputs + panel.first_row * channels + c * panel.rows, weight, chunk,
                        panel.rows, rows.data() + panel.first_row);
        });
        weight += chunk * kFilters;
      }
    }
  }

  void MultiplyPanel(const float* inputs, int64_t weight, int64_t channels, int64_t rows,
                     float* const* sums) const {
    const ConstTensorView weights = weights_->view();
    const auto count = static_cast<size_t>(channels);
    const auto row_count = static_cast<size_t>(rows);
    if (weights.dtype == DType::kBFloat16) {
      kernels_.multiply_bfloat16(inputs, weights.values<BFloat16>().data() + weight, count,
                                 row_count, sums);
    } else {
      kernels_.multiply(inputs, weights.values<float>().data() + weight, count, row_count, sums);
    }
  }

  // `row` holds an image's outputs of a set of filters.
  void Finish(int64_t filter_set, const float* sums, std::byte* row, std::byte* dst) const {
    const int64_t first = filter_set * kFilters;
    const auto filters = static_cast<size_t>(std::min(kFilters, problem_.out_channels - first));
    const auto channel = static_cast<size_t>(first);
    const auto outputs = static_cast<size_t>(Outputs());
    if (!is_planar_) {
      weave_.FinishRows(
          {sums, kStreamFilters, static_cast<size_t>(problem_.batch) * outputs, filters}, channel,
          dst + Bytes(channel), static_cast<size_t>(problem_.out_channels));
      return;
    }
    for (int64_t image = 0; image < problem_.batch; ++image) {
      weave_.FinishRows({sums + image * Outputs() * kFilters, kStreamFilters, outputs, filters},
                        channel, row, filters);
      const int64_t plane = image * problem_.out_channels + first;
      weave_.WriteRuns(problem_.dtype, row, outputs, filters,
                       dst + Bytes(static_cast<size_t>(plane) * outputs), outputs);
    }
  }

  // Of a number of output values.
  size_t Bytes(size_t values) const { return values * weave_.element_bytes(); }

  WorkerPool& pool_;
  const DeconvProblem problem_;
  const StreamLayout layout_;
  const std::shared_ptr<const Tensor> weights_;  // [filter set][tap][channel][filter]
  const Weave weave_;
  const std::chrono::nanoseconds expected_time_;
  const StreamKernels& kernels_;
  const bool is_planar_;              // channels_first
  std::vector<int64_t> set_offsets_;  // of the gathered inputs, in elements
  int64_t gathered_size_ = 0;
};

class WeightStreamStrategy final : public Strategy {
 public:
  explicit WeightStreamStrategy(WorkerPool& pool) : pool_(pool) {}

  std::string_view name() const override { return "weight_stream"; }

  Status Supports(const DeconvProblem& problem) const override {
    if (problem.dtype == DType::kFloat64) {
      return MakeError(StatusCode::kUnimplemented, "sums in float32, not in float64");
    }
    const int64_t elements = problem.linear_shape().num_elements();
    if (elements == 0) {
      return MakeError(StatusCode::kUnimplemented, "there is nothing to compute");
    }
    const int64_t outputs = elements / problem.out_channels;
    if (outputs > kMaxOutputs) {
      return MakeError(StatusCode::kUnimplemented, "keeps the sums of {} outputs in cache, not {}",
                       kMaxOutputs, outputs);
    }
    const int64_t gathered = problem.batch * StreamedInputsOf(problem) * problem.in_channels;
    if (gathered > kMaxGathered) {
      return MakeError(StatusCode::kUnimplemented, "gathers up to {} values of its inputs, not {}",
                       kMaxGathered, gathered);
    }
    return OkStatus();
  }

  std::chrono::nanoseconds EstimatedTime(const DeconvProblem& problem) const override {
    return WeightStreamTime(problem);
  }

  bool FinishesWholePositions(const DeconvProblem& problem) const override {
    return problem.out_channels <= kFilters;
  }

  StatusOr<std::unique_ptr<const ForwardPlan>> Compile(
      const DeconvProblem& problem, std::shared_ptr<const Weights> weights) const override {
    TCONV_ASSIGN_OR_RETURN(Weave weave, Weave::Make(problem, *weights));
    StreamLayout layout(problem);
    TCONV_ASSIGN_OR_RETURN(std::shared_ptr<const Tensor> packed,
                           packed_weights_.FindOrPack(weights, PartOf(problem, layout), [&] {
                             return PackKernel(problem, layout, *weights);
                           }));
    return std::make_unique<const WeightStreamPlan>(pool_, problem, std::move(layout),
                                                    std::move(packed), std::move(weave));
  }

 private:
  // The taps that are multiplied, and the type.
  using WeightsPart = std::vector<int64_t>;

  static WeightsPart PartOf(const DeconvProblem& problem, const StreamLayout& layout) {
    WeightsPart part = {static_cast<int64_t>(problem.dtype)};
    for (const StreamTap& tap : layout.taps) part.push_back(tap.tap);
    return part;
  }

  static StatusOr<std::shared_ptr<const Tensor>> PackKernel(const DeconvProblem& problem,
                                                            const StreamLayout& layout,
                                                            const Weights& weights) {
    const DType stored_as = problem.dtype == DType::kBFloat16 ? DType::kBFloat16 : DType::kFloat32;
    TCONV_ASSIGN_OR_RETURN(const CastWeight kernel,
                           CastWeight::Make(weights.kernel.view(), problem.dtype, stored_as));
    TCONV_ASSIGN_OR_RETURN(
        Tensor data, Tensor::Allocate(stored_as, Shape{CeilDiv(problem.out_channels, kFilters),
                                                       static_cast<int64_t>(layout.taps.size()),
                                                       problem.in_channels, kFilters}));
    if (stored_as == DType::kBFloat16) {
      Pack<BFloat16>(problem, layout, kernel.view(), data.mutable_view());
    } else {
      Pack<float>(problem, layout, kernel.view(), data.mutable_view());
    }
    return std::make_shared<const Tensor>(std::move(data));
  }

  // Transposes the kernel, [tap][filter][channel], and adds filters of zeros.
  template <typename Weight>
  static void Pack(const DeconvProblem& problem, const StreamLayout& layout, ConstTensorView kernel,
                   TensorView packed) {
    const int64_t channels = problem.in_channels;
    Weight* out = packed.values<Weight>().data();
    for (int64_t first = 0; first < problem.out_channels; first += kFilters) {
      const int64_t filters = std::min(kFilters, problem.out_channels - first);
      for (const StreamTap& tap : layout.taps) {
        const Weight* in =
            kernel.values<Weight>().data() + (tap.tap * problem.out_channels + first) * channels;
        for (int64_t c = 0; c < channels; ++c, out += kFilters) {
          for (int64_t f = 0; f < filters; ++f) out[f] = in[f * channels + c];
          std::fill(out + filters, out + kFilters, Weight{});
        }
      }
    }
  }

  WorkerPool& pool_;
  mutable PackedIndex<Tensor, WeightsPart> packed_weights_;
};

}  // namespace

std::unique_ptr<const Strategy> MakeWeightStreamStrategy(WorkerPool& pool) {
  return std::make_unique<const WeightStreamStrategy>(pool);
}

}  // namespace tconv::server
