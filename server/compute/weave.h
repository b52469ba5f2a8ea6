// The last pass over computed sums while they are in cache: interleaves them
// into the output, adds the bias, applies the activation and casts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "server/base/status.h"
#include "server/compute/vector_form.h"
#include "server/compute/weave_kernels.h"
#include "server/layer/geometry.h"
#include "server/layer/weights.h"

namespace tconv::server {

// Turns sums of products into results of one problem. For 16-bit types the sum,
// the biased value and the activated value are each rounded, as separate Keras
// operations would. Immutable, thread-safe.
//
// Destinations are pointers into the output; strides and lengths count elements
// of the output's dtype.
class Weave {
 public:
  // Whether the activation is softmax or log_softmax of the channels of each
  // position, as a weave can apply it.
  static bool ActivatesPositions(const DeconvProblem& problem);

  // RESOURCE_EXHAUSTED without memory. REQUIRES: the activation is element-wise
  // or ActivatesPositions(problem), the dtype is not float64.
  static StatusOr<Weave> Make(const DeconvProblem& problem, const Weights& weights);

  size_t element_bytes() const { return element_bytes_; }

  // Rows of sums whose channels recur in order, the first being
  // `first_channel`; row r goes to dst + r * dst_stride. The sums may be the
  // destination itself when the dtype is float32.
  // REQUIRES: a row is at most channels * (stride of the innermost axis) long,
  // and holds all channels of whole positions if ActivatesPositions(problem).
  void FinishRows(const RowsOfSums& sums, size_t first_channel, std::byte* dst,
                  size_t dst_stride) const;

  // Sums of one channel. Adds the bias and activates, in place.
  // REQUIRES: the activation is element-wise.
  void FinishPlane(float* sums, size_t length, size_t channel) const;

  // dst[i * planes + b] = values[b * stride + i], for i < length. The values
  // are finished.
  void Interleave(const float* values, size_t stride, size_t planes, size_t length,
                  std::byte* dst) const {
    kernels_.interleave(rule_.dtype, values, stride, planes, length, dst);
  }

  // As the kernels of these names.
  void SumBlocks(const std::vector<Blocks>& terms, size_t blocks, size_t length,
                 float* sums) const {
    kernels_.sum_blocks(terms.data(), terms.size(), blocks, length, sums);
  }
  void CopyBlocks(const std::byte* src, size_t src_stride, size_t blocks, size_t length,
                  std::byte* dst, size_t dst_stride) const {
    kernels_.copy_blocks(src, src_stride, blocks, length, dst, dst_stride);
  }

  // dst[c * plane_stride + i] = values[i * channels + c], for i < length: a run
  // of each of the planes, cast from the type `from`, which is float32 or the
  // output's. The values are finished.
  void WriteRuns(DType from, const void* values, size_t length, size_t channels, std::byte* dst,
                 size_t plane_stride) const {
    kernels_.transpose({.rows = length,
                        .columns = channels,
                        .from = from,
                        .src_stride = channels,
                        .to = rule_.dtype,
                        .dst_stride = plane_stride},
                       values, dst);
  }

  // sums[i] = rows[0][i] + rows[1][i] + ...; `count` > 0.
  void SumRows(const float* const* rows, size_t count, size_t length, float* sums) const {
    kernels_.sum_rows(rows, count, length, sums);
  }

 private:
  Weave(const DeconvProblem& problem, const std::vector<float>& bias);

  void FinishSeparateRows(const RowsOfSums& sums, const float* bias, std::byte* dst,
                          size_t dst_stride) const;

  void FinishByRuns(const RowsOfSums& sums, const float* bias, std::byte* dst,
                    size_t dst_stride) const;

  // Activations that are not woven.
  void Activate(float* values, size_t length) const;

  const WeaveKernels& kernels_;
  WeaveRule rule_;
  size_t element_bytes_;
  Activation activation_;
  VectorForm form_;
  bool is_activation_woven_;
  ChannelActivation channel_activation_ = ChannelActivation::kNone;
  size_t channels_;
  size_t run_length_;        // of values that are activated together
  size_t joined_length_;     // of rows without gaps between them
  std::vector<float> bias_;  // repeated; empty without bias
};

}  // namespace tconv::server
