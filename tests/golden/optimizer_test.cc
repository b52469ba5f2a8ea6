// The optimizers alone, against the steps that Keras recorded: gradients come from
// plain loops over the recorded input and upstream gradient.
#include "server/layer/optimizer.h"

#include <gmock/gmock.h>

#include <cmath>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "server/layer/geometry.h"
#include "server/wire/keras_json.h"
#include "server/wire/layer_codec.h"
#include "server/wire/optimizer_codec.h"
#include "tests/golden/golden_case.h"
#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using testing::GoldenCase;
using testing::IsOk;
using testing::ToDoubles;

constexpr OptimizerSlot kSlots[] = {OptimizerSlot::kMomentum, OptimizerSlot::kVelocity,
                                    OptimizerSlot::kVelocityHat, OptimizerSlot::kAverageGradient};

std::vector<double> DoublesOf(const Tensor& tensor) {
  const Tensor wide = Tensor::Converted(tensor.view(), DType::kFloat64).value();
  const auto values = wide.view().values<double>();
  return {values.begin(), values.end()};
}

Tensor TensorOf(const Tensor& like, std::vector<double> values) {
  return Tensor::Converted(
             {DType::kFloat64, like.shape(), reinterpret_cast<const std::byte*>(values.data())},
             like.dtype())
      .value();
}

TensorView ViewOf(std::vector<double>& values) {
  return {DType::kFloat64, {std::ssize(values)}, reinterpret_cast<std::byte*>(values.data())};
}

// A layer that is trained as the recorded one was: with the same input and upstream
// gradient at every step. channels_last.
class Replay {
 public:
  explicit Replay(const GoldenCase& golden)
      : config_(LayerConfigFromProto(ParseKerasJson(golden.SerializedLayer())->config).value()),
        input_(ToDoubles(golden.Array("input"))),
        upstream_(ToDoubles(golden.Array("upstream"))),
        optimizer_(MakeOptimizer(golden)) {
    weights_.kernel = Recorded(golden, "kernel");
    if (golden.HasArray("bias")) weights_.bias = Recorded(golden, "bias");
    const Shape input_shape = testing::ViewOf(golden.Array("input")).shape;
    problem_ = MakeDeconvProblem(config_, weights_.in_channels(), input_shape).value();
    EXPECT_EQ(config_.data_format, DataFormat::kChannelsLast);
  }

  void Step() {
    EXPECT_THAT(optimizer_.Step(config_, Gradients(), std::nullopt, weights_, state_), IsOk());
  }

  const Weights& weights() const { return weights_; }
  const OptimizerState& state() const { return state_; }

 private:
  static Tensor Recorded(const GoldenCase& golden, const std::string& name) {
    const auto array = golden.Array(name);
    return Tensor::Converted(testing::ViewOf(array), DType::kFloat32).value();
  }

  static Optimizer MakeOptimizer(const GoldenCase& golden) {
    std::ostringstream text;
    text << std::ifstream(golden.directory + "/optimizer.json").rdbuf();
    return OptimizerFromKerasJson(text.str()).value();
  }

  // Calls visit(position of the input, tap, position of the output), each counted over
  // the batch and the spatial axes, for all that meet.
  template <typename Visit>
  void ForEachMeeting(Visit visit, size_t axis, int64_t in, int64_t tap, int64_t out) const {
    if (axis == problem_.axes.size()) return visit(in, tap, out);
    const AxisGeometry& a = problem_.axes[axis];
    for (int64_t i = 0; i < a.in; ++i) {
      for (int64_t j = 0; j < a.kernel; ++j) {
        const int64_t o = i * a.stride + j * a.dilation - a.crop_begin;
        if (o < 0 || o >= a.out) continue;
        ForEachMeeting(visit, axis + 1, in * a.in + i, tap * a.kernel + j, out * a.out + o);
      }
    }
  }

  // The same for single elements of input, kernel and output.
  template <typename Visit>
  void ForEachProduct(Visit visit) const {
    const int64_t channels = problem_.in_channels;
    const int64_t filters = problem_.out_channels;
    for (int64_t b = 0; b < problem_.batch; ++b) {
      const auto visit_channels = [&](int64_t in, int64_t tap, int64_t out) {
        for (int64_t f = 0; f < filters; ++f) {
          for (int64_t c = 0; c < channels; ++c) {
            visit(static_cast<size_t>(in * channels + c),
                  static_cast<size_t>((tap * filters + f) * channels + c),
                  static_cast<size_t>(out * filters + f));
          }
        }
      };
      ForEachMeeting(visit_channels, 0, b, 0, b);
    }
  }

  std::vector<double> Linear(const std::vector<double>& kernel) const {
    std::vector<double> z(upstream_.size());
    if (weights_.bias.has_value()) {
      const std::vector<double> bias = DoublesOf(*weights_.bias);
      for (size_t i = 0; i < z.size(); ++i) z[i] = bias[i % bias.size()];
    }
    ForEachProduct(
        [&](size_t in, size_t weight, size_t out) { z[out] += input_[in] * kernel[weight]; });
    return z;
  }

  // Of sum(upstream * output) + sum(layer.losses).
  WeightTensors Gradients() const {
    std::vector<double> kernel = DoublesOf(weights_.kernel);
    const std::vector<double> z = Linear(kernel);
    std::vector<double> gradient = upstream_;
    if (config_.activity_regularizer.has_value()) {
      std::vector<double> y = z;
      config_.activation.ApplyElementwise(std::span(y));
      config_.activity_regularizer->AddGradient(
          ViewOf(y), 1.0 / static_cast<double>(problem_.batch), ViewOf(gradient));
    }
    config_.activation.DifferentiateElementwise(std::span<const double>(z), std::span(gradient));

    std::vector<double> kernel_gradient(kernel.size());
    ForEachProduct([&](size_t in, size_t weight, size_t out) {
      kernel_gradient[weight] += input_[in] * gradient[out];
    });
    if (config_.kernel_regularizer.has_value()) {
      config_.kernel_regularizer->AddGradient(ViewOf(kernel), 1, ViewOf(kernel_gradient));
    }
    WeightTensors gradients{TensorOf(weights_.kernel, kernel_gradient), std::nullopt};
    if (!weights_.bias.has_value()) return gradients;
    std::vector<double> bias_gradient(static_cast<size_t>(config_.filters));
    for (size_t i = 0; i < gradient.size(); ++i) {
      bias_gradient[i % bias_gradient.size()] += gradient[i];
    }
    gradients.bias = TensorOf(*weights_.bias, bias_gradient);
    return gradients;
  }

  const LayerConfig config_;
  const std::vector<double> input_;
  const std::vector<double> upstream_;
  const Optimizer optimizer_;
  DeconvProblem problem_;
  Weights weights_;
  OptimizerState state_;
};

class GoldenOptimizerTest : public ::testing::TestWithParam<GoldenCase> {
 protected:
  void ExpectClose(const Tensor& got, const std::string& array) {
    const auto& tolerance = GetParam().expect.at("training").at("tolerance");
    const double atol = tolerance.at("atol");
    const double rtol = tolerance.at("rtol");
    const std::vector<double> values = DoublesOf(got);
    const std::vector<double> expected = ToDoubles(GetParam().Array(array));
    ASSERT_EQ(values.size(), expected.size()) << array;
    for (size_t i = 0; i < values.size(); ++i) {
      EXPECT_NEAR(values[i], expected[i], atol + rtol * std::abs(expected[i]))
          << array << "[" << i << "]";
    }
  }
};

TEST_P(GoldenOptimizerTest, MakesTheStepsOfKeras) {
  Replay replay(GetParam());
  const auto& training = GetParam().expect.at("training");
  const size_t steps = training.at("steps").size();
  for (size_t step = 0; step < steps; ++step) replay.Step();
  EXPECT_EQ(replay.state().iterations, static_cast<int64_t>(steps));
  // The arrays of earlier steps are no evidence: all of them were recorded as they are
  // after the last one.
  ExpectClose(replay.weights().kernel, "kernel_step" + std::to_string(steps));
  if (replay.weights().bias.has_value()) {
    ExpectClose(*replay.weights().bias, "bias_step" + std::to_string(steps));
  }
  size_t slots = 0;
  for (const auto& slot : training.at("slots_after")) {
    if (!slot.contains("array")) continue;
    const std::string path = slot.at("path");
    for (const OptimizerSlot kind : kSlots) {
      const std::string name(NameOf(kind));
      if (path.ends_with("_kernel_" + name)) {
        ExpectClose(replay.state().slots.at(kind).kernel, slot.at("array"));
        ++slots;
      } else if (path.ends_with("_bias_" + name)) {
        ExpectClose(*replay.state().slots.at(kind).bias, slot.at("array"));
        ++slots;
      }
    }
  }
  const size_t weights = replay.weights().bias.has_value() ? 2 : 1;
  EXPECT_EQ(slots, replay.state().slots.size() * weights) << "slots that Keras has not recorded";
}

TEST(GoldenOptimizerCases, AreAllThere) {
  EXPECT_EQ(testing::CasesOfKinds({"optimizer"}).size(), 10U);
}

std::string NameOfCase(const ::testing::TestParamInfo<GoldenCase>& golden) {
  return testing::TestNameOf(golden.param);
}

INSTANTIATE_TEST_SUITE_P(Keras, GoldenOptimizerTest,
                         ::testing::ValuesIn(testing::CasesOfKinds({"optimizer"})), NameOfCase);

}  // namespace
}  // namespace tconv::server
