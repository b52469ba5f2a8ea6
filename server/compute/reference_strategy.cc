#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "server/compute/cost_model.h"
#include "server/compute/image_loops.h"
#include "server/compute/strategies.h"
#include "server/compute/weights_cast.h"

namespace tconv::server {
namespace {

class ReferencePlan final : public ForwardPlan {
 public:
  ReferencePlan(const DeconvProblem& problem, std::shared_ptr<const Weights> weights,
                CastWeight kernel, std::optional<CastWeight> bias)
      : problem_(problem),
        axes_(SpatialAxes(problem)),
        weights_(std::move(weights)),
        kernel_(std::move(kernel)),
        bias_(std::move(bias)) {}

  Status Execute(ConstTensorView src, TensorView dst) const override {
    TCONV_ASSIGN_OR_RETURN(Tensor x, Tensor::Converted(src, DType::kFloat64));
    TCONV_ASSIGN_OR_RETURN(Tensor z, Tensor::Allocate(DType::kFloat64, dst.shape));
    const std::span<double> values = z.mutable_view().values<double>();
    Convolve(x.view().values<double>(), values);
    TCONV_RETURN_IF_ERROR(Round(z));
    if (problem_.use_bias) {
      AddBias(values);
      TCONV_RETURN_IF_ERROR(Round(z));
    }
    problem_.activation.ApplyElementwise(values);
    Convert(z.view(), dst);
    return OkStatus();
  }

  int64_t bytes_held() const override { return kernel_.view().size_bytes(); }
  std::vector<SharedPart> shared_parts() const override { return {}; }

 private:
  // z = transposed_convolution(x, kernel)
  void Convolve(std::span<const double> x, std::span<double> z) const {
    const ImageStrides x_strides = SrcStrides(problem_);
    const ImageStrides z_strides = DstStrides(problem_);
    for (int64_t n = 0; n < problem_.batch; ++n) {
      const double* image = x.data() + n * x_strides.image;
      double* out = z.data() + n * z_strides.image;
      ForEachOutput(axes_, [&](int64_t o, const std::vector<Contribution>& contributions) {
        ConvolvePosition(image, x_strides, contributions, out + o * z_strides.position,
                         z_strides.channel);
      });
    }
  }

  // Every output channel of one output position.
  void ConvolvePosition(const double* image, const ImageStrides& image_strides,
                        const std::vector<Contribution>& contributions, double* out,
                        int64_t out_channel_stride) const {
    const double* kernel = kernel_.view().values<double>().data();
    for (int64_t oc = 0; oc < problem_.out_channels; ++oc) {
      double sum = 0;
      for (const auto [tap, in] : contributions) {
        const double* pixel = image + in * image_strides.position;
        const double* row = kernel + (tap * problem_.out_channels + oc) * problem_.in_channels;
        for (int64_t ic = 0; ic < problem_.in_channels; ++ic) {
          sum += pixel[ic * image_strides.channel] * row[ic];
        }
      }
      out[oc * out_channel_stride] = sum;
    }
  }

  void AddBias(std::span<double> z) const {
    const ImageStrides strides = DstStrides(problem_);
    const std::span<const double> bias = bias_->view().values<double>();
    for (size_t i = 0; i < z.size(); ++i) {
      const int64_t oc = static_cast<int64_t>(i) / strides.channel % problem_.out_channels;
      z[i] += bias[static_cast<size_t>(oc)];
    }
  }

  // Rounds to the dtype of the problem.
  Status Round(Tensor& z) const {
    if (problem_.dtype == DType::kFloat64) return OkStatus();
    TCONV_ASSIGN_OR_RETURN(Tensor rounded, Tensor::Converted(z.view(), problem_.dtype));
    Convert(rounded.view(), z.mutable_view());
    return OkStatus();
  }

  const DeconvProblem problem_;
  const std::array<AxisGeometry, 3> axes_;
  const std::shared_ptr<const Weights> weights_;  // from which the next two may borrow
  const CastWeight kernel_;                       // float64
  const std::optional<CastWeight> bias_;          // float64
};

class ReferenceStrategy final : public Strategy {
 public:
  std::string_view name() const override { return "reference"; }

  Status Supports(const DeconvProblem&) const override { return OkStatus(); }

  std::chrono::nanoseconds EstimatedTime(const DeconvProblem& problem) const override {
    return ReferenceTime(problem);
  }

  StatusOr<std::unique_ptr<const ForwardPlan>> Compile(
      const DeconvProblem& problem, std::shared_ptr<const Weights> weights) const override {
    TCONV_ASSIGN_OR_RETURN(CastWeight kernel, Cast(weights->kernel, problem));
    std::optional<CastWeight> bias;
    if (problem.use_bias) {
      TCONV_ASSIGN_OR_RETURN(bias, Cast(*weights->bias, problem));
    }
    return std::make_unique<const ReferencePlan>(problem, std::move(weights), std::move(kernel),
                                                 std::move(bias));
  }

 private:
  static StatusOr<CastWeight> Cast(const Tensor& weight, const DeconvProblem& problem) {
    return CastWeight::Make(weight.view(), problem.dtype, DType::kFloat64);
  }
};

}  // namespace

std::unique_ptr<const Strategy> MakeReferenceStrategy() {
  return std::make_unique<const ReferenceStrategy>();
}

}  // namespace tconv::server
