#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "server/compute/backward_strategies.h"
#include "server/compute/cost_model.h"
#include "server/compute/image_loops.h"

namespace tconv::server {
namespace {

// Sums of a result in float64.
class WideSums {
 public:
  // None for a result that is not asked for. RESOURCE_EXHAUSTED without memory.
  static StatusOr<WideSums> Make(TensorView result) {
    if (result.data == nullptr) return WideSums(result, Tensor());
    TCONV_ASSIGN_OR_RETURN(Tensor sums, Tensor::Allocate(DType::kFloat64, result.shape));
    const std::span<double> values = sums.mutable_view().values<double>();
    std::fill(values.begin(), values.end(), 0.0);
    return WideSums(result, std::move(sums));
  }

  // Null when there are none.
  double* data() { return reinterpret_cast<double*>(sums_.mutable_view().data); }

  // Rounds the sums to the result.
  void Finish() const {
    if (result_.data != nullptr) Convert(sums_.view(), result_);
  }

 private:
  WideSums(TensorView result, Tensor sums) : result_(result), sums_(std::move(sums)) {}

  TensorView result_;
  Tensor sums_;
};

class ReferenceBackwardPlan final : public BackwardPlan {
 public:
  explicit ReferenceBackwardPlan(const DeconvProblem& problem)
      : problem_(problem), axes_(SpatialAxes(problem)) {}

  Status Execute(const BackwardArguments& arguments, BlockPool&) const override {
    TCONV_ASSIGN_OR_RETURN(const Tensor kernel,
                           Tensor::Converted(arguments.kernel, DType::kFloat64));
    TCONV_ASSIGN_OR_RETURN(const Tensor src, Tensor::Converted(arguments.src, DType::kFloat64));
    TCONV_ASSIGN_OR_RETURN(const Tensor diff_dst,
                           Tensor::Converted(arguments.diff_dst, DType::kFloat64));
    TCONV_ASSIGN_OR_RETURN(WideSums diff_src, WideSums::Make(arguments.diff_src));
    TCONV_ASSIGN_OR_RETURN(WideSums diff_kernel, WideSums::Make(arguments.diff_kernel));
    const ImageStrides src_strides = SrcStrides(problem_);
    const ImageStrides dst_strides = DstStrides(problem_);
    for (int64_t n = 0; n < problem_.batch; ++n) {
      const double* dst_image = ValuesOf(diff_dst) + n * dst_strides.image;
      ForEachOutput(axes_, [&](int64_t o, const std::vector<Contribution>& contributions) {
        const double* gradient = dst_image + o * dst_strides.position;
        for (const auto [tap, in] : contributions) {
          const int64_t pixel = n * src_strides.image + in * src_strides.position;
          const int64_t weights = tap * problem_.out_channels * problem_.in_channels;
          if (diff_src.data() != nullptr) {
            AddToPixel(gradient, dst_strides.channel, ValuesOf(kernel) + weights,
                       diff_src.data() + pixel, src_strides.channel);
          }
          if (diff_kernel.data() != nullptr) {
            AddToTap(gradient, dst_strides.channel, ValuesOf(src) + pixel, src_strides.channel,
                     diff_kernel.data() + weights);
          }
        }
      });
    }
    diff_src.Finish();
    diff_kernel.Finish();
    return OkStatus();
  }

  int64_t bytes_held() const override { return 0; }

 private:
  static const double* ValuesOf(const Tensor& tensor) {
    return tensor.view().values<double>().data();
  }

  // pixel[ic] += gradient[oc] * tap[oc, ic]
  void AddToPixel(const double* gradient, int64_t gradient_stride, const double* tap, double* pixel,
                  int64_t pixel_stride) const {
    for (int64_t oc = 0; oc < problem_.out_channels; ++oc) {
      for (int64_t ic = 0; ic < problem_.in_channels; ++ic) {
        pixel[ic * pixel_stride] += gradient[oc * gradient_stride] * *tap++;
      }
    }
  }

  // tap[oc, ic] += gradient[oc] * pixel[ic]
  void AddToTap(const double* gradient, int64_t gradient_stride, const double* pixel,
                int64_t pixel_stride, double* tap) const {
    for (int64_t oc = 0; oc < problem_.out_channels; ++oc) {
      for (int64_t ic = 0; ic < problem_.in_channels; ++ic) {
        *tap++ += gradient[oc * gradient_stride] * pixel[ic * pixel_stride];
      }
    }
  }

  const DeconvProblem problem_;
  const std::array<AxisGeometry, 3> axes_;
};

class ReferenceBackwardStrategy final : public BackwardStrategy {
 public:
  std::string_view name() const override { return "reference"; }

  Status Supports(const DeconvProblem&) const override { return OkStatus(); }

  std::chrono::nanoseconds EstimatedTime(const DeconvProblem& problem) const override {
    return ReferenceBackwardTime(problem);
  }

  StatusOr<std::unique_ptr<const BackwardPlan>> Compile(
      const DeconvProblem& problem) const override {
    return std::make_unique<const ReferenceBackwardPlan>(problem);
  }
};

}  // namespace

std::unique_ptr<const BackwardStrategy> MakeReferenceBackwardStrategy() {
  return std::make_unique<const ReferenceBackwardStrategy>();
}

}  // namespace tconv::server
