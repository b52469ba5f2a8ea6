#include "server/compute/weave.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <variant>

#include "server/compute/weights_cast.h"

namespace tconv::server {
namespace {

// Values of an activation that takes a pass of its own stay in the L1 cache.
constexpr size_t kRunLength = 1024;
// Whole positions that fill vectors may need more.
constexpr size_t kLongestRun = kActivatedPositions * kMostActivatedChannels;

// Rows that follow each other without a gap are joined up to this length.
constexpr size_t kJoinedLength = 512;

// Sets the rule's activation if the kernels apply it in passing.
bool IsWoven(const Activation& activation, const VectorForm& form, WeaveRule& rule) {
  if (activation.is_linear()) return true;
  if (form.activation == VectorActivation::kRelu) {
    rule.activation = WovenActivation::kRelu;
    return true;
  }
  if (form.activation == VectorActivation::kLeakyRelu) {
    rule.activation = WovenActivation::kLeakyRelu;
    rule.negative_slope = form.parameter;
    return true;
  }
  return false;
}

ChannelActivation ChannelActivationOf(const ObjectSpec& spec) {
  if (spec.name == "softmax") return ChannelActivation::kSoftmax;
  if (spec.name == "log_softmax") return ChannelActivation::kLogSoftmax;
  return ChannelActivation::kNone;
}

}  // namespace

bool Weave::ActivatesPositions(const DeconvProblem& problem) {
  const ObjectSpec& spec = problem.activation.spec();
  if (ChannelActivationOf(spec) == ChannelActivation::kNone) return false;
  const auto axis = static_cast<int>(std::get<double>(spec.arguments.at("axis")));
  const int rank = problem.linear_shape().rank();
  const int channel_axis = problem.data_format == DataFormat::kChannelsLast ? rank - 1 : 1;
  return (axis == channel_axis || axis == channel_axis - rank) &&
         problem.out_channels <= static_cast<int64_t>(kMostActivatedChannels) &&
         problem.dtype != DType::kFloat64;
}

StatusOr<Weave> Weave::Make(const DeconvProblem& problem, const Weights& weights) {
  std::vector<float> bias;
  if (problem.use_bias) {
    TCONV_ASSIGN_OR_RETURN(const CastWeight cast,
                           CastWeight::Make(weights.bias->view(), problem.dtype, DType::kFloat32));
    const std::span<const float> values = cast.view().values<float>();
    bias.assign(values.begin(), values.end());
  }
  return Weave(problem, bias);
}

Weave::Weave(const DeconvProblem& problem, const std::vector<float>& bias)
    : kernels_(WeaveKernelsForThisCpu()),
      element_bytes_(SizeOf(problem.dtype)),
      activation_(problem.activation),
      form_(VectorFormOf(problem.activation)),
      channel_activation_(ChannelActivationOf(problem.activation.spec())),
      channels_(static_cast<size_t>(problem.out_channels)),
      run_length_(kRunLength),
      joined_length_(kJoinedLength) {
  rule_.dtype = problem.dtype;
  is_activation_woven_ = IsWoven(activation_, form_, rule_);
  if (!kernels_.activate(form_.activation, form_.parameter, nullptr, 0)) form_ = {};
  if (channel_activation_ != ChannelActivation::kNone) {
    const size_t together = kActivatedPositions * channels_;
    run_length_ = std::max<size_t>(1, kRunLength / together) * together;
    joined_length_ = run_length_;
  }
  if (bias.empty()) return;
  const auto row = channels_ * static_cast<size_t>(problem.axes.back().stride);
  const size_t repetitions = std::max(row, joined_length_) / channels_ + 1;
  for (size_t i = 0; i < repetitions; ++i) bias_.insert(bias_.end(), bias.begin(), bias.end());
}

void Weave::FinishRows(const RowsOfSums& sums, size_t first_channel, std::byte* dst,
                       size_t dst_stride) const {
  const float* bias = bias_.empty() ? nullptr : bias_.data() + first_channel;
  const bool are_adjacent =
      sums.stride == sums.length && dst_stride == sums.length && sums.length % channels_ == 0;
  const size_t joined = are_adjacent ? joined_length_ / sums.length : 0;
  if (joined <= 1) return FinishSeparateRows(sums, bias, dst, dst_stride);

  const size_t length = joined * sums.length;
  const size_t count = sums.rows / joined;
  FinishSeparateRows({sums.sums, length, count, length}, bias, dst, length);
  const size_t rest = sums.rows % joined * sums.length;
  FinishSeparateRows({sums.sums + count * length, rest, 1, rest}, bias,
                     dst + count * length * element_bytes_, rest);
}

void Weave::FinishSeparateRows(const RowsOfSums& sums, const float* bias, std::byte* dst,
                               size_t dst_stride) const {
  if (is_activation_woven_) {
    kernels_.finish_rows(rule_, sums, bias, false, dst, dst_stride);
  } else if (sums.length > 0) {
    FinishByRuns(sums, bias, dst, dst_stride);
  }
}

// A run is several rows or a part of one.
void Weave::FinishByRuns(const RowsOfSums& sums, const float* bias, std::byte* dst,
                         size_t dst_stride) const {
  float run[kLongestRun];
  const WeaveRule cast = {.dtype = rule_.dtype};
  const size_t rows_of_run = std::max<size_t>(1, run_length_ / sums.length);
  for (size_t row = 0; row < sums.rows; row += rows_of_run) {
    const size_t rows = std::min(rows_of_run, sums.rows - row);
    for (size_t begin = 0; begin < sums.length; begin += run_length_) {
      const size_t length = std::min(run_length_, sums.length - begin);
      const float* part = sums.sums + row * sums.stride + begin;
      kernels_.finish_rows(rule_, {part, sums.stride, rows, length},
                           bias == nullptr ? nullptr : bias + begin, true, run, length);
      Activate(run, rows * length);
      kernels_.finish_rows(cast, {run, length, rows, length}, nullptr, false,
                           dst + (row * dst_stride + begin) * element_bytes_, dst_stride);
    }
  }
}

void Weave::FinishPlane(float* sums, size_t length, size_t channel) const {
  kernels_.finish_plane(rule_, sums, length, bias_.empty() ? 0.0f : bias_[channel]);
  if (!is_activation_woven_) Activate(sums, length);
}

void Weave::Activate(float* values, size_t length) const {
  if (channel_activation_ != ChannelActivation::kNone) {
    kernels_.activate_channels(channel_activation_, values, length / channels_, channels_);
  } else if (form_.activation == VectorActivation::kNone) {
    activation_.ApplyElementwise(std::span<float>(values, length));
  } else {
    kernels_.activate(form_.activation, form_.parameter, values, length);
  }
}

}  // namespace tconv::server
