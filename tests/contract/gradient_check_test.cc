// Gradients are what the output does when inputs and weights move a little: in float64,
// on random problems of every activation.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "tests/support/differentiation_bench.h"
#include "tests/support/shape_table.h"
#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::tconv::testing::DifferentiationBench;
using ::tconv::testing::ParseShapeRow;
using ::tconv::testing::RandomShapeRange;
using ::tconv::testing::RandomShapeRow;
using ::tconv::testing::RandomTensor;
using ::tconv::testing::RandomWeights;
using ::tconv::testing::ShapeRow;

std::span<double> ValuesOf(Tensor& tensor) { return tensor.mutable_view().values<double>(); }

Tensor CopyOf(const Tensor& tensor) {
  return Tensor::Converted(tensor.view(), tensor.dtype()).value();
}

Weights CopyOf(const Weights& weights) {
  Weights copy;
  copy.kernel = CopyOf(weights.kernel);
  if (weights.bias) copy.bias = CopyOf(*weights.bias);
  return copy;
}

// One layer with its input, and L = sum of its output times fixed random numbers.
class Subject {
 public:
  explicit Subject(const ShapeRow& row)
      : problem_(row.problem),
        src_(RandomTensor(problem_.src_shape(), DType::kFloat64, 1)),
        weights_(CopyOf(*RandomWeights(problem_, DType::kFloat64, 2))),
        diff_output_(RandomTensor(problem_.dst_shape(), DType::kFloat64, 3)) {}

  // What L is computed from.
  std::vector<Tensor*> Variables() {
    std::vector<Tensor*> variables = {&src_, &weights_.kernel};
    if (weights_.bias) variables.push_back(&*weights_.bias);
    return variables;
  }

  double Loss() {
    Differentiation layer = MakeLayer();
    EXPECT_THAT(layer.RunForward(CopyOf(src_)), tconv::testing::IsOk());
    const auto output = layer.output().values<double>();
    const auto factors = ValuesOf(diff_output_);
    double loss = 0;
    for (size_t i = 0; i < output.size(); ++i) loss += output[i] * factors[i];
    return loss;
  }

  // In the order of Variables().
  std::vector<Tensor> Differentiate() {
    Differentiation layer = MakeLayer();
    EXPECT_THAT(layer.RunForward(CopyOf(src_)), tconv::testing::IsOk());
    Gradients gradients = layer.RunBackward(CopyOf(diff_output_), {}).value();
    std::vector<Tensor> all;
    all.push_back(std::move(gradients.input));
    all.push_back(std::move(gradients.weights.kernel));
    if (gradients.weights.bias) all.push_back(*std::move(gradients.weights.bias));
    return all;
  }

 private:
  // Of copies of the weights, which plans take for constant.
  Differentiation MakeLayer() {
    return {bench_.tools(), problem_, std::make_shared<const Weights>(CopyOf(weights_))};
  }

  DifferentiationBench bench_{2};
  const DeconvProblem problem_;
  Tensor src_;
  Weights weights_;
  Tensor diff_output_;
};

void ExpectGradientsOf(const ShapeRow& row) {
  constexpr double kStep = 1e-6;
  constexpr size_t kElementsOfEach = 12;
  SCOPED_TRACE(row.line);
  Subject subject(row);
  const std::vector<Tensor> gradients = subject.Differentiate();
  const std::vector<Tensor*> variables = subject.Variables();
  ASSERT_EQ(gradients.size(), variables.size());
  for (size_t v = 0; v < variables.size(); ++v) {
    const auto values = ValuesOf(*variables[v]);
    const auto gradient = gradients[v].view().values<double>();
    ASSERT_EQ(gradients[v].shape(), variables[v]->shape());
    for (size_t i = 0; i < values.size(); i += 1 + values.size() / kElementsOfEach) {
      const double value = values[i];
      values[i] = value + kStep;
      const double above = subject.Loss();
      values[i] = value - kStep;
      const double below = subject.Loss();
      values[i] = value;
      const double slope = (above - below) / (2 * kStep);
      EXPECT_NEAR(gradient[i], slope, 1e-6 * std::max(1.0, std::fabs(slope)))
          << "variable " << v << ", element " << i;
    }
  }
}

TEST(GradientCheckTest, GradientsAreTheSlopesOfTheLoss) {
  RandomShapeRange range{.largest_extent = {9, 5, 3},
                         .largest_kernel = {5, 4, 3},
                         .largest_stride = 3,
                         .largest_batch = 2,
                         .largest_channels = 6};
  range.dtypes = {"float64"};
  range.activations = {"linear",      "relu",        "leaky_relu", "elu",      "selu",
                       "tanh",        "silu",        "gelu",       "softplus", "sigmoid",
                       "softmax",     "log_softmax", "mish",       "celu",     "hard_silu",
                       "exponential", "softsign",    "hard_tanh",  "relu6",    "soft_shrink",
                       "squareplus",  "sparsemax"};
  std::mt19937 random(4);
  const auto pick = [&](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random() % static_cast<uint64_t>(high - low + 1));
  };
  for (int i = 0; i < 120; ++i) ExpectGradientsOf(RandomShapeRow(pick, range));
}

TEST(GradientCheckTest, GluHalvesItsAxisOnTheWayBackToo) {
  ExpectGradientsOf(ParseShapeRow("last 2x3x4x3 f=6 k=3 s=2 same act=glu dtype=float64"));
  ExpectGradientsOf(ParseShapeRow("first 2x3x4x3 f=5 k=3 s=2 same act=glu first dtype=float64"));
}

}  // namespace
}  // namespace tconv::server
