#include "server/compute/weave.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "tests/support/shape_table.h"

namespace tconv::server {
namespace {

using ::testing::ElementsAre;

// Weights of a layer with two filters whose biases are 10 and 20.
Weave MakeWeave(const std::string& arguments) {
  const auto row =
      tconv::testing::ParseShapeRow(fmt::format("weave 1x4x1 f=2 k=2 s=2 {}", arguments));
  Weights weights;
  weights.bias = Tensor::Allocate(DType::kFloat32, Shape{2}).value();
  weights.bias->mutable_view().values<float>()[0] = 10;
  weights.bias->mutable_view().values<float>()[1] = 20;
  return Weave::Make(row.problem, weights).value();
}

std::byte* Bytes(std::vector<float>& values) { return reinterpret_cast<std::byte*>(values.data()); }

TEST(WeaveTest, AddsTheBiasOfEachChannelAndSkipsTheGapsOfTheDestination) {
  const std::vector<float> sums = {1, 2, 3, 4};
  std::vector<float> dst(6, -1);
  MakeWeave("").FinishRows({sums.data(), 2, 2, 2}, 0, Bytes(dst), 4);
  EXPECT_THAT(dst, ElementsAre(11, 22, -1, -1, 13, 24));
}

TEST(WeaveTest, StartsAtAnyChannel) {
  const std::vector<float> sums = {1, 2};
  std::vector<float> dst(2);
  MakeWeave("").FinishRows({sums.data(), 2, 1, 2}, 1, Bytes(dst), 2);
  EXPECT_THAT(dst, ElementsAre(21, 12));
}

TEST(WeaveTest, JoinsAdjacentRowsOfAnyNumber) {
  for (const size_t rows : {size_t{1}, size_t{255}, size_t{256}, size_t{700}}) {
    const std::vector<float> sums(rows * 2, 1);
    std::vector<float> dst(rows * 2 + 1, -1);
    MakeWeave("").FinishRows({sums.data(), 2, rows, 2}, 0, Bytes(dst), 2);
    for (size_t i = 0; i < rows * 2; ++i) EXPECT_EQ(dst[i], i % 2 == 0 ? 11 : 21);
    EXPECT_EQ(dst.back(), -1);
  }
}

TEST(WeaveTest, RoundsEachStepOfNarrowTypes) {
  // In bfloat16 256 + 10 is 266, 1 more than the next lower value; 257 is 256.
  const std::vector<float> sums = {257, 257};
  std::vector<BFloat16> dst(2);
  MakeWeave("dtype=mixed_bfloat16")
      .FinishRows({sums.data(), 2, 1, 2}, 0, reinterpret_cast<std::byte*>(dst.data()), 2);
  EXPECT_EQ(ToFloat(dst[0]), 266);
  EXPECT_EQ(ToFloat(dst[1]), 276);
}

TEST(WeaveTest, InterleavesAnyNumberOfPlanes) {
  for (const size_t planes : {1, 2, 3, 4, 5, 6, 7, 8, 13}) {
    std::vector<float> values(planes * 40), dst(planes * 37);
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
    MakeWeave("").Interleave(values.data(), 40, planes, 37, Bytes(dst));
    for (size_t i = 0; i < 37; ++i) {
      for (size_t b = 0; b < planes; ++b) {
        ASSERT_EQ(dst[i * planes + b], static_cast<float>(b * 40 + i)) << planes;
      }
    }
  }
}

TEST(WeaveTest, WritesRunsOfPlanesInTheTypeOfTheOutput) {
  const std::vector<float> values = {1, 2, 3, 4, 5, 257};
  std::vector<BFloat16> dst(10, ToBFloat16(-1));
  MakeWeave("dtype=mixed_bfloat16")
      .WriteRuns(DType::kFloat32, values.data(), 3, 2, reinterpret_cast<std::byte*>(dst.data()), 5);
  std::vector<float> planes;
  for (const BFloat16 value : dst) planes.push_back(ToFloat(value));
  EXPECT_THAT(planes, ElementsAre(1, 3, 5, -1, -1, 2, 4, 256, -1, -1));
}

class WeaveActivationTest : public ::testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Activations, WeaveActivationTest,
                         ::testing::Values("linear", "relu", "leaky_relu", "relu6", "tanh",
                                           "sigmoid", "silu", "elu", "selu", "softplus", "gelu",
                                           "exponential", "mish", "hard_silu"));

TEST_P(WeaveActivationTest, AgreesWithTheLayersActivation) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> values = {0, -0.0f, 1e-30f, -1e-30f, kInfinity, -kInfinity, NAN, 100, -100};
  for (float z = -30; z < 30; z += 0.0371f) values.push_back(z);
  std::vector<float> expected = values;
  for (float& z : expected) z += 10;
  Activation::Make({GetParam(), {}})->ApplyElementwise(std::span<float>(expected));

  std::vector<float> plane = values;
  MakeWeave(std::string("act=") + GetParam()).FinishPlane(plane.data(), plane.size(), 0);
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(expected[i])) {
      EXPECT_TRUE(std::isnan(plane[i])) << values[i];
    } else if (std::isinf(expected[i])) {
      EXPECT_EQ(plane[i], expected[i]) << values[i];
    } else {
      const double bound = 1e-6 * std::max(1.0f, std::fabs(expected[i]));
      EXPECT_NEAR(plane[i], expected[i], bound) << values[i];
    }
  }
}

}  // namespace
}  // namespace tconv::server
