// How the gradients of transposed convolutions are computed.
#pragma once

#include <chrono>
#include <memory>
#include <string_view>

#include "server/base/status.h"
#include "server/layer/geometry.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

// What the gradients of z = transposed_convolution(src, kernel) + bias are computed
// from, and where they go. All tensors are float32, those of float64 problems float64;
// aligned to their elements, better to 64 bytes; without overlap.
struct BackwardArguments {
  ConstTensorView kernel;    // [kernel_size..., out_channels, in_channels]
  ConstTensorView src;       // src_shape() of the problem
  ConstTensorView diff_dst;  // dL/dz, linear_shape() of the problem
  // Those whose `data` is null are not asked for.
  TensorView diff_src;     // as src
  TensorView diff_kernel;  // as kernel
};

// The gradients of one DeconvProblem, whatever the weights are: weights that are being
// trained change with every step. Immutable; Execute() may run on many threads at once.
//
//   diff_src[b, i, ic]     = sum over taps j and oc of diff_dst[b, o, oc] * kernel[j, oc, ic]
//   diff_kernel[j, oc, ic] = sum over b and i of diff_dst[b, o, oc] * src[b, i, ic]
//
// where o = i * stride + j * dilation - crop_begin, as far as it lies in the output.
class BackwardPlan {
 public:
  virtual ~BackwardPlan() = default;

  // Writes every element of what is asked for. What it needs in between it takes from
  // `memory`. RESOURCE_EXHAUSTED without memory.
  virtual Status Execute(const BackwardArguments& arguments, BlockPool& memory) const = 0;

  // Memory that this plan holds, in bytes.
  virtual int64_t bytes_held() const = 0;
};

// One way to compute gradients, as Strategy is one for outputs. Stateless; safe on
// many threads at once.
class BackwardStrategy {
 public:
  virtual ~BackwardStrategy() = default;

  // Lower case.
  virtual std::string_view name() const = 0;

  // OK, or UNIMPLEMENTED with the reason.
  virtual Status Supports(const DeconvProblem& problem) const = 0;

  // How long one thread would take, roughly, for both gradients.
  // REQUIRES: Supports(problem) is OK.
  virtual std::chrono::nanoseconds EstimatedTime(const DeconvProblem& problem) const = 0;

  // The activation of the problem is not looked at. RESOURCE_EXHAUSTED without memory.
  // REQUIRES: Supports(problem) is OK.
  virtual StatusOr<std::unique_ptr<const BackwardPlan>> Compile(
      const DeconvProblem& problem) const = 0;
};

}  // namespace tconv::server
