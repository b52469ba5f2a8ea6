#include "server/compute/weave.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <tuple>
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

TEST(WeaveTest, ActivatesThePositionsOfSoftmaxAlongTheChannelsOnly) {
  const auto activates = [](const std::string& row) {
    return Weave::ActivatesPositions(tconv::testing::ParseShapeRow("row " + row).problem);
  };
  EXPECT_TRUE(activates("1x4x4x1 f=5 k=2 act=softmax"));
  EXPECT_TRUE(activates("1x4x4x1 f=5 k=2 act=softmax axis=3"));
  EXPECT_TRUE(activates("1x4x4x1 f=5 k=2 act=log_softmax dtype=mixed_bfloat16"));
  EXPECT_TRUE(activates("1x4x4x1 f=5 k=2 first act=softmax axis=1"));
  EXPECT_TRUE(activates("1x4x4x1 f=5 k=2 first act=softmax axis=-3"));
  EXPECT_TRUE(activates("1x4x4x1 f=256 k=2 act=softmax"));
  EXPECT_FALSE(activates("1x4x4x1 f=257 k=2 act=softmax"));
  EXPECT_FALSE(activates("1x4x4x1 f=5 k=2 first act=softmax"));
  EXPECT_FALSE(activates("1x4x4x1 f=5 k=2 act=softmax axis=1"));
  EXPECT_FALSE(activates("1x4x4x1 f=5 k=2 act=softmax dtype=float64"));
  EXPECT_FALSE(activates("1x4x4x1 f=5 k=2 act=sparsemax"));
  EXPECT_FALSE(activates("1x4x4x1 f=5 k=2 act=relu"));
}

// Rows of some positions each, [row][position][channel], with a gap behind each
// row of the destination.
class WeavePositionsTest
    : public ::testing::TestWithParam<std::tuple<const char*, size_t, size_t>> {
 protected:
  static constexpr size_t kRows = 37;

  const std::string activation_ = std::get<0>(GetParam());
  const size_t channels_ = std::get<1>(GetParam());
  const size_t positions_ = std::get<2>(GetParam());  // of a row
  const size_t length_ = channels_ * positions_;
  const size_t dst_stride_ = length_ + 3;

  std::vector<float> Finish(const std::vector<float>& sums) const {
    const auto row = tconv::testing::ParseShapeRow(
        fmt::format("weave 1x4x1 f={} k=1 s={} nobias act={}", channels_, positions_, activation_));
    std::vector<float> dst(kRows * dst_stride_, -1);
    Weave::Make(row.problem, Weights())
        ->FinishRows({sums.data(), length_, kRows, length_}, 0, Bytes(dst), dst_stride_);
    return dst;
  }
};

INSTANTIATE_TEST_SUITE_P(Sizes, WeavePositionsTest,
                         ::testing::Combine(::testing::Values("softmax", "log_softmax"),
                                            ::testing::Values(1, 2, 3, 5, 21, 150, 256),
                                            ::testing::Values(1, 2, 16, 45)));

TEST_P(WeavePositionsTest, AgreesWithTheLayersActivation) {
  Tensor sums = tconv::testing::RandomTensor(
      Shape{static_cast<int64_t>(kRows * positions_), static_cast<int64_t>(channels_)},
      DType::kFloat32, 1);
  const std::span<float> values = sums.mutable_view().values<float>();
  for (float& value : values) value *= 80;
  const std::vector<float> dst = Finish({values.begin(), values.end()});
  Activation::Make({activation_, {}})->ApplyAlongAxis(sums.view(), sums.mutable_view());
  for (size_t row = 0; row < kRows; ++row) {
    for (size_t i = 0; i < length_; ++i) {
      const float expected = values[row * length_ + i];
      ASSERT_NEAR(dst[row * dst_stride_ + i], expected, 1e-6 * std::max(1.0f, std::fabs(expected)));
    }
    for (size_t i = length_; i < dst_stride_; ++i) ASSERT_EQ(dst[row * dst_stride_ + i], -1);
  }
}

TEST_P(WeavePositionsTest, APositionGivesTheSameBitsWhereverItStands) {
  const Tensor position =
      tconv::testing::RandomTensor(Shape{static_cast<int64_t>(channels_)}, DType::kFloat32, 2);
  const std::span<const float> values = position.view().values<float>();
  std::vector<float> sums;
  for (size_t i = 0; i < kRows * positions_; ++i) {
    sums.insert(sums.end(), values.begin(), values.end());
  }
  const std::vector<float> dst = Finish(sums);
  for (size_t row = 0; row < kRows; ++row) {
    for (size_t i = 0; i < length_; ++i) {
      ASSERT_EQ(dst[row * dst_stride_ + i], dst[i % channels_]);
    }
  }
}

TEST(WeaveTest, SoftmaxOfSpecialValuesIsAsTheLayersActivation) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kPositions[][2] = {{NAN, 1},
                                     {1, NAN},
                                     {kInfinity, 1},
                                     {-kInfinity, 1},
                                     {1, -kInfinity},
                                     {-kInfinity, -kInfinity},
                                     {3e38f, -3e38f},
                                     {kInfinity, kInfinity},
                                     {kInfinity, -kInfinity}};
  for (const char* function : {"softmax", "log_softmax"}) {
    for (const auto& position : kPositions) {
      float dst[2];
      MakeWeave(fmt::format("nobias act={}", function))
          .FinishRows({position, 2, 1, 2}, 0, reinterpret_cast<std::byte*>(dst), 2);
      Tensor expected = Tensor::Allocate(DType::kFloat32, Shape{2}).value();
      const std::span<float> values = expected.mutable_view().values<float>();
      std::copy_n(position, 2, values.begin());
      Activation::Make({function, {}})->ApplyAlongAxis(expected.view(), expected.mutable_view());
      for (size_t i = 0; i < 2; ++i) {
        EXPECT_TRUE(std::isnan(values[i]) ? std::isnan(dst[i]) : dst[i] == values[i])
            << function << " of " << position[0] << ", " << position[1] << ": " << dst[i];
      }
    }
  }
}

TEST(WeaveTest, SoftmaxOfNarrowTypesTakesRoundedSumsAndBiasedSums) {
  // In bfloat16 257 is 256, 256 + 10 is 266, and 247 + 20 is 268, for 267 lies
  // between two values. Rounded less often, they would be equal.
  const std::vector<float> sums = {257, 247};
  std::vector<BFloat16> dst(2);
  MakeWeave("dtype=mixed_bfloat16 act=softmax")
      .FinishRows({sums.data(), 2, 1, 2}, 0, reinterpret_cast<std::byte*>(dst.data()), 2);
  const double e = std::exp(-2.0);
  EXPECT_EQ(ToFloat(dst[0]), ToFloat(ToBFloat16(static_cast<float>(e / (1 + e)))));
  EXPECT_EQ(ToFloat(dst[1]), ToFloat(ToBFloat16(static_cast<float>(1 / (1 + e)))));
}

}  // namespace
}  // namespace tconv::server
