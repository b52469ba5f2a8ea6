// Gradients themselves are checked by tests/contract/gradient_check_test.cc.
#include "server/compute/differentiation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "tests/support/differentiation_bench.h"
#include "tests/support/parity.h"
#include "tests/support/shape_table.h"
#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::tconv::testing::DifferenceOf;
using ::tconv::testing::DifferentiationBench;
using ::tconv::testing::IsOk;
using ::tconv::testing::ParseShapeRow;
using ::tconv::testing::RandomTensor;
using ::tconv::testing::RandomWeights;
using ::tconv::testing::ShapeRow;

DType WideTypeOf(const ShapeRow& row) {
  return row.problem.dtype == DType::kFloat64 ? DType::kFloat64 : DType::kFloat32;
}

struct Outcome {
  Tensor output;
  Gradients gradients;
};

// A row with random numbers, forward and back.
Outcome RunLayer(DifferentiationBench& bench, const ShapeRow& row,
                 const WantedGradients& wanted = {}) {
  const auto weights = RandomWeights(row.problem, row.config.dtype.variable, 7);
  Differentiation layer(bench.tools(), row.problem, weights);
  EXPECT_THAT(layer.RunForward(RandomTensor(row.problem.src_shape(), row.problem.dtype, 11)),
              IsOk());
  Outcome outcome;
  outcome.output = Tensor::Converted(layer.output(), row.problem.dtype).value();
  StatusOr<Gradients> gradients =
      layer.RunBackward(RandomTensor(row.problem.dst_shape(), WideTypeOf(row), 13), wanted);
  EXPECT_THAT(gradients, IsOk());
  if (gradients.ok()) outcome.gradients = *std::move(gradients);
  return outcome;
}

bool HaveEqualBits(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::memcmp(a.view().data, b.view().data, static_cast<size_t>(a.size_bytes())) == 0;
}

constexpr const char* kRows[] = {
    "linear         2x9x7x12  f=20 k=3 s=2 same",
    "relu           2x9x7x12  f=20 k=3 s=2 same act=relu",
    "tanh_first     2x9x7x12  f=20 k=3 s=2 same act=tanh first",
    "no_vector_form 2x9x7x12  f=20 k=3 s=2 same act=hard_silu",
    "softmax        2x9x7x12  f=20 k=3 s=2 same act=softmax",
    "softmax_first  2x9x7x12  f=20 k=3 s=2 same act=softmax first",
    "glu            2x9x7x12  f=20 k=3 s=2 same act=glu",
    "mixed_bfloat16 2x9x7x12  f=20 k=3 s=2 same act=gelu dtype=mixed_bfloat16",
    "mixed_float16  2x9x7x12  f=20 k=3 s=2 same act=softmax dtype=mixed_float16",
    "bfloat16       2x9x7x12  f=20 k=3 s=2 same act=sigmoid dtype=bfloat16 first",
    "float16_glu    2x9x7x12  f=20 k=3 s=2 same act=glu dtype=float16",
    "float64        2x9x7x12  f=20 k=3 s=2 same act=tanh dtype=float64",
    "no_bias        2x9x7x12  f=20 k=3 s=2 same act=relu nobias",
    "large          4x40x60x8 f=16 k=3 s=2 same act=silu",
};

class DifferentiationRowTest : public ::testing::TestWithParam<const char*> {
 protected:
  const ShapeRow row_ = ParseShapeRow(GetParam());
  DifferentiationBench bench_{2};
};

INSTANTIATE_TEST_SUITE_P(Rows, DifferentiationRowTest, ::testing::ValuesIn(kRows));

TEST_P(DifferentiationRowTest, TheOutputIsThatOfTheLayer) {
  const ComputeTools tools = bench_.tools();
  const auto weights = RandomWeights(row_.problem, row_.config.dtype.variable, 7);
  const auto plan = tools.plans.GetOrCompile(row_.problem, weights).value();
  Tensor expected = Tensor::Allocate(row_.problem.dtype, row_.problem.dst_shape()).value();
  ASSERT_THAT(plan->Execute(RandomTensor(row_.problem.src_shape(), row_.problem.dtype, 11).view(),
                            expected.mutable_view()),
              IsOk());
  EXPECT_EQ(DifferenceOf(RunLayer(bench_, row_).output, expected), "");
}

TEST_P(DifferentiationRowTest, GradientsHaveTheShapesAndTypesOfWhatTheyAreOf) {
  const Gradients gradients = RunLayer(bench_, row_).gradients;
  const auto weights = RandomWeights(row_.problem, row_.config.dtype.variable, 7);
  EXPECT_EQ(gradients.input.dtype(), row_.problem.dtype);
  EXPECT_EQ(gradients.input.shape(), row_.problem.src_shape());
  EXPECT_EQ(gradients.weights.kernel.dtype(), row_.config.dtype.variable);
  EXPECT_EQ(gradients.weights.kernel.shape(), weights->kernel.shape());
  ASSERT_EQ(gradients.weights.bias.has_value(), weights->bias.has_value());
  if (!weights->bias) return;
  EXPECT_EQ(gradients.weights.bias->dtype(), row_.config.dtype.variable);
  EXPECT_EQ(gradients.weights.bias->shape(), weights->bias->shape());
}

TEST_P(DifferentiationRowTest, BitsDoNotDependOnTheNumberOfThreads) {
  DifferentiationBench one(1);
  const Gradients expected = RunLayer(one, row_).gradients;
  const Gradients actual = RunLayer(bench_, row_).gradients;
  EXPECT_TRUE(HaveEqualBits(actual.input, expected.input));
  EXPECT_TRUE(HaveEqualBits(actual.weights.kernel, expected.weights.kernel));
  if (row_.problem.use_bias) {
    EXPECT_TRUE(HaveEqualBits(*actual.weights.bias, *expected.weights.bias));
  }
}

TEST_P(DifferentiationRowTest, WhatIsNotWantedIsLeftOut) {
  const Gradients input = RunLayer(bench_, row_, {.input = true, .weights = false}).gradients;
  EXPECT_EQ(input.input.shape(), row_.problem.src_shape());
  EXPECT_EQ(input.weights.kernel.size_bytes(), 0);
  EXPECT_FALSE(input.weights.bias.has_value());
  const Gradients weights = RunLayer(bench_, row_, {.input = false, .weights = true}).gradients;
  EXPECT_EQ(weights.input.size_bytes(), 0);
  EXPECT_GT(weights.weights.kernel.size_bytes(), 0);
}

// Narrow layers are float32 ones whose gradients are rounded at every step.
TEST_P(DifferentiationRowTest, NarrowGradientsAreAboutThoseOfFloat32) {
  if (row_.config.dtype.compute == WideTypeOf(row_)) return;
  ShapeRow wide_row = row_;
  wide_row.config.dtype = ParseDTypePolicy("float32").value();
  wide_row.problem.dtype = DType::kFloat32;
  const Gradients wide = RunLayer(bench_, wide_row).gradients;
  const Gradients narrow = RunLayer(bench_, row_).gradients;
  const auto rounded = [&](const Tensor& tensor) {
    return Tensor::Converted(tensor.view(), row_.problem.dtype).value();
  };
  EXPECT_EQ(DifferenceOf(narrow.input, rounded(wide.input)), "");
  EXPECT_EQ(DifferenceOf(rounded(narrow.weights.kernel), rounded(wide.weights.kernel)), "");
  EXPECT_EQ(DifferenceOf(rounded(*narrow.weights.bias), rounded(*wide.weights.bias)), "");
}

class DifferentiationTest : public ::testing::Test {
 protected:
  DifferentiationBench bench_{2};
};

TEST_F(DifferentiationTest, TheBiasHasTheSumOverPositions) {
  const ShapeRow row = ParseShapeRow("sums 3x40x50x2 f=3 k=1");
  Differentiation layer(bench_.tools(), row.problem,
                        RandomWeights(row.problem, DType::kFloat32, 7));
  ASSERT_THAT(layer.RunForward(RandomTensor(row.problem.src_shape(), DType::kFloat32, 11)), IsOk());
  Tensor ones = Tensor::Allocate(DType::kFloat32, row.problem.dst_shape()).value();
  for (float& value : ones.mutable_view().values<float>()) value = 1;
  const Gradients gradients = layer.RunBackward(std::move(ones), {}).value();
  EXPECT_THAT(gradients.weights.bias->view().values<float>(), ::testing::Each(3.0f * 40 * 50));
}

TEST_F(DifferentiationTest, AnEmptyBatchHasNoInfluence) {
  for (const char* line :
       {"relu 0x5x7x3 f=4 k=3 s=2 act=relu", "softmax 0x5x7x3 f=4 k=3 act=softmax",
        "first 0x5x7x3 f=4 k=2 s=2 first act=glu", "f64 0x5x3 f=4 k=3 dtype=float64",
        "bf16 0x5x3 f=4 k=3 dtype=mixed_bfloat16"}) {
    SCOPED_TRACE(line);
    const ShapeRow row = ParseShapeRow(line);
    const Gradients gradients = RunLayer(bench_, row).gradients;
    EXPECT_EQ(gradients.input.shape(), row.problem.src_shape());
    const auto kernel = Tensor::Converted(gradients.weights.kernel.view(), DType::kFloat64).value();
    EXPECT_THAT(kernel.view().values<double>(), ::testing::Each(0.0));
    const auto bias = Tensor::Converted(gradients.weights.bias->view(), DType::kFloat64).value();
    EXPECT_THAT(bias.view().values<double>(), ::testing::Each(0.0));
  }
}

TEST_F(DifferentiationTest, MixedGradientsAreRoundedToTheComputeType) {
  const Gradients gradients =
      RunLayer(bench_, ParseShapeRow("mixed 2x9x7x12 f=20 k=3 s=2 same dtype=mixed_bfloat16"))
          .gradients;
  for (const float value : gradients.weights.kernel.view().values<float>()) {
    EXPECT_EQ(value, ToFloat(ToBFloat16(value)));
  }
  for (const float value : gradients.weights.bias->view().values<float>()) {
    EXPECT_EQ(value, ToFloat(ToBFloat16(value)));
  }
}

TEST_F(DifferentiationTest, ALinearLayerHasTheSameGradientsWithoutItsOutput) {
  for (const char* text : {"wide 2x5x7x3 f=4 k=3 s=2 same", "first 1x4x4x2 f=3 k=2 s=3 first",
                           "narrow 2x4x4x2 f=3 k=2 s=2 dtype=bfloat16"}) {
    const ShapeRow row = ParseShapeRow(text);
    Differentiation layer(bench_.tools(), row.problem,
                          RandomWeights(row.problem, row.config.dtype.variable, 7));
    ASSERT_THAT(layer.SkipForward(RandomTensor(row.problem.src_shape(), row.problem.dtype, 11)),
                IsOk());
    const Gradients skipped =
        layer.RunBackward(RandomTensor(row.problem.dst_shape(), WideTypeOf(row), 13), {}).value();
    const Gradients computed = RunLayer(bench_, row).gradients;
    EXPECT_TRUE(HaveEqualBits(skipped.input, computed.input)) << text;
    EXPECT_TRUE(HaveEqualBits(skipped.weights.kernel, computed.weights.kernel)) << text;
    EXPECT_TRUE(HaveEqualBits(*skipped.weights.bias, *computed.weights.bias)) << text;
  }
}

TEST_F(DifferentiationTest, NaNReachesTheGradients) {
  const ShapeRow row = ParseShapeRow("nan 1x4x4x2 f=3 k=2 s=2 act=relu");
  Differentiation layer(bench_.tools(), row.problem,
                        RandomWeights(row.problem, DType::kFloat32, 7));
  ASSERT_THAT(layer.RunForward(RandomTensor(row.problem.src_shape(), DType::kFloat32, 11)), IsOk());
  Tensor upstream = RandomTensor(row.problem.dst_shape(), DType::kFloat32, 13);
  upstream.mutable_view().values<float>()[0] = std::numeric_limits<float>::quiet_NaN();
  const Gradients gradients = layer.RunBackward(std::move(upstream), {}).value();
  EXPECT_TRUE(std::isnan(gradients.weights.bias->view().values<float>()[0]));
  EXPECT_FALSE(std::isnan(gradients.weights.bias->view().values<float>()[1]));
  EXPECT_TRUE(std::isnan(gradients.input.view().values<float>()[0]));
  EXPECT_FALSE(std::isnan(gradients.input.view().values<float>()[2]));
  EXPECT_TRUE(std::isnan(gradients.weights.kernel.view().values<float>()[0]));
}

}  // namespace
}  // namespace tconv::server
