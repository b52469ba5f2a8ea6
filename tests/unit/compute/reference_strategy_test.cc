#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "server/compute/compile_plan.h"
#include "server/compute/strategies.h"
#include "tests/support/shape_table.h"
#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::testing::ElementsAre;

class ReferenceStrategyTest : public ::testing::Test {
 protected:
  static Tensor FloatTensor(const Shape& shape, const std::vector<float>& values) {
    Tensor tensor = Tensor::Allocate(DType::kFloat32, shape).value();
    std::copy(values.begin(), values.end(), tensor.mutable_view().values<float>().begin());
    return tensor;
  }

  // Computes the row of a shape table with weights of [kernel.size(), 1, 1].
  static std::vector<float> Compute(const std::string& row, const std::vector<float>& input,
                                    const std::vector<float>& kernel, float bias) {
    const DeconvProblem problem =
        tconv::testing::ParseShapeRow(fmt::format("case {}", row)).problem;
    auto weights = std::make_shared<Weights>();
    weights->kernel = FloatTensor({static_cast<int64_t>(kernel.size()), 1, 1}, kernel);
    weights->bias = FloatTensor({1}, {bias});
    const auto plan = CompilePlan(*MakeReferenceStrategy(), problem, weights).value();

    Tensor src =
        Tensor::Converted(FloatTensor(problem.src_shape(), input).view(), problem.dtype).value();
    Tensor dst = Tensor::Allocate(problem.dtype, problem.dst_shape()).value();
    EXPECT_THAT(plan->Execute(src.view(), dst.mutable_view()), tconv::testing::IsOk());
    const Tensor result = Tensor::Converted(dst.view(), DType::kFloat32).value();
    const auto values = result.view().values<float>();
    return {values.begin(), values.end()};
  }
};

TEST_F(ReferenceStrategyTest, ScattersTheKernelWithoutFlippingIt) {
  EXPECT_THAT(Compute("1x2x1 f=1 k=3 s=2", {1, 10}, {1, 2, 3}, 0), ElementsAre(1, 2, 13, 20, 30));
}

TEST_F(ReferenceStrategyTest, SamePaddingCropsTheSmallerHalfOnTheLeft) {
  EXPECT_THAT(Compute("1x2x1 f=1 k=3 s=2 same", {1, 10}, {1, 2, 3}, 0), ElementsAre(1, 2, 13, 20));
}

TEST_F(ReferenceStrategyTest, PositionsThatNoTapReachesHoldTheActivatedBias) {
  EXPECT_THAT(Compute("1x2x1 f=1 k=1 s=3 act=relu", {-9, 10}, {1}, 2),
              ElementsAre(0, 2, 2, 12, 2, 2));
}

TEST_F(ReferenceStrategyTest, DilationSpreadsTheTaps) {
  EXPECT_THAT(Compute("1x2x1 f=1 k=2 d=3", {1, 10}, {1, 2}, 0), ElementsAre(1, 10, 0, 2, 20));
}

TEST_F(ReferenceStrategyTest, RoundsAfterConvolutionAndAfterBias) {
  // In bfloat16 256 + 1 rounds to 256 each time, 256 + 2 is exact.
  EXPECT_THAT(Compute("1x2x1 f=1 k=2 same dtype=bfloat16", {256, 1}, {1, 1}, 1),
              ElementsAre(256, 256));
}

TEST_F(ReferenceStrategyTest, NanReachesWhatItsTapsReach) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(Compute("1x2x1 f=1 k=2 s=2 act=relu", {nan, 1}, {0, 0}, 0),
              ElementsAre(::testing::IsNan(), ::testing::IsNan(), 0, 0));
}

TEST_F(ReferenceStrategyTest, SoftmaxRunsOverTheFinishedResult) {
  EXPECT_THAT(Compute("1x2x1 f=1 k=1 act=softmax first", {0, 0}, {1}, 0), ElementsAre(0.5, 0.5));
}

TEST_F(ReferenceStrategyTest, GluHalvesTheLastAxis) {
  EXPECT_THAT(Compute("1x4x1 f=1 k=1 act=glu first", {3, 4, 0, 0}, {1}, 0), ElementsAre(1.5, 2));
}

}  // namespace
}  // namespace tconv::server
