#include "server/layer/regularizer.h"

#include <gmock/gmock.h>

#include <limits>
#include <string>
#include <vector>

#include "tests/support/status_matchers.h"
#include "tests/unit/layer/tensor_views.h"

namespace tconv::server {
namespace {

using ::tconv::testing::StatusIs;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsNan;

TEST(RegularizerTest, AddsThePenaltiesOfKeras) {
  std::vector<float> weight = {1, -2, 3};  // sum of |w|: 6, of squares: 14
  struct Case {
    ObjectSpec spec;
    double penalty;
  } const kCases[] = {
      {{"L1", {}}, 0.06},
      {{"l1", {{"l1", 0.5}}}, 3},
      {{"L2", {}}, 0.14},
      {{"l2", {{"l2", 0.5}}}, 7},
      {{"L1L2", {{"l1", 0.5}, {"l2", 0.25}}}, 6.5},
      {{"l1l2", {}}, 0},
      {{"l1_l2", {}}, 0.2},
      {{"l1_l2", {{"l1", 0.0}}}, 0.14},
      {{"L2", {{"l2", std::monostate()}}}, 0.14},
  };
  for (const Case& c : kCases) {
    EXPECT_DOUBLE_EQ(Regularizer::Make(c.spec)->Penalty(AsTensor({3}, weight)), c.penalty)
        << c.spec.name;
  }
}

TEST(RegularizerTest, AddsTheGradientsOfItsPenalties) {
  std::vector<double> weight = {1, -2, 0};
  struct Case {
    ObjectSpec spec;
    double scale;
    std::vector<double> gradient;  // added to 10, 20, 30
  } const kCases[] = {
      {{"L1", {{"l1", 0.5}}}, 1, {10.5, 19.5, 30}},
      {{"L2", {{"l2", 0.5}}}, 1, {11, 18, 30}},
      {{"L1L2", {{"l1", 0.5}, {"l2", 0.25}}}, 1, {11, 18.5, 30}},
      {{"L1L2", {{"l1", 0.5}, {"l2", 0.25}}}, 0.5, {10.5, 19.25, 30}},
      {{"l1l2", {}}, 1, {10, 20, 30}},
  };
  for (const Case& c : kCases) {
    std::vector<double> wide = {10, 20, 30};
    std::vector<float> narrow = {10, 20, 30};
    const Regularizer regularizer = *Regularizer::Make(c.spec);
    regularizer.AddGradient(AsTensor({3}, weight), c.scale, AsTensor({3}, wide));
    regularizer.AddGradient(AsTensor({3}, weight), c.scale, AsTensor({3}, narrow));
    EXPECT_EQ(wide, c.gradient) << c.spec.name;
    EXPECT_EQ(narrow, std::vector<float>(c.gradient.begin(), c.gradient.end())) << c.spec.name;
  }
}

TEST(RegularizerTest, AddsGradientsToLongTensorsOfEveryType) {
  std::vector<double> values(5000, 0.5);
  const ConstTensorView wide = AsTensor({5000}, values);
  const Regularizer l2 = *Regularizer::Make({"L2", {{"l2", 1.0}}});
  for (const DType dtype : {DType::kFloat64, DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
    Tensor gradient = Tensor::Converted(wide, dtype).value();
    l2.AddGradient(Tensor::Converted(wide, DType::kBFloat16)->view(), 1, gradient.mutable_view());
    const Tensor sums = Tensor::Converted(gradient.view(), DType::kFloat64).value();
    EXPECT_THAT(sums.view().values<double>(), Each(1.5)) << NameOf(dtype);
  }
}

TEST(RegularizerTest, LeavesOutWhatAFactorOfZeroWouldSpoil) {
  const double infinity = std::numeric_limits<double>::infinity();
  std::vector<double> weight = {infinity};
  std::vector<double> gradient = {0};
  const Regularizer l1 = *Regularizer::Make({"L1L2", {{"l1", 0.5}, {"l2", 0.0}}});
  l1.AddGradient(AsTensor({1}, weight), 1, AsTensor({1}, gradient));
  EXPECT_EQ(gradient[0], 0.5);
  EXPECT_EQ(l1.Penalty(AsTensor({1}, weight)), infinity);

  // Keras makes this exception for L1L2 alone.
  Regularizer::Make({"L2", {{"l2", 0.0}}})
      ->AddGradient(AsTensor({1}, weight), 1, AsTensor({1}, gradient));
  EXPECT_THAT(gradient[0], IsNan());
}

TEST(RegularizerTest, SumsLongTensorsOfEveryType) {
  std::vector<double> values(5000, 0.5);
  const ConstTensorView wide = AsTensor({5000}, values);
  const Regularizer l2 = *Regularizer::Make({"L2", {{"l2", 1.0}}});
  for (const DType dtype : {DType::kFloat64, DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
    EXPECT_EQ(l2.Penalty(Tensor::Converted(wide, dtype)->view()), 1250) << NameOf(dtype);
  }
}

TEST(RegularizerTest, IsZeroForAnEmptyTensor) {
  EXPECT_EQ(Regularizer::Make({"L2", {}})->Penalty(Tensor().view()), 0);
}

TEST(RegularizerTest, PrintsItsClassWithEveryArgument) {
  EXPECT_EQ(Regularizer::Make({"l1_l2", {{"l2", 0.5}}})->spec(),
            (ObjectSpec{"L1L2", {{"l1", 0.01}, {"l2", 0.5}}}));
}

TEST(RegularizerTest, RefusesWhatKerasRefuses) {
  struct Case {
    ObjectSpec spec;
    const char* message;
  } const kCases[] = {
      {{"L3", {}}, "name: expected a regularizer (L1, L2, L1L2), got \"L3\""},
      {{"L2", {{"l2", -0.1}}}, "arguments.l2: expected a number >= 0, got -0.1"},
      {{"L1", {{"l1", std::numeric_limits<double>::infinity()}}}, "arguments.l1"},
      {{"L1", {{"l2", 0.1}}}, "arguments.l2: L1 has no such argument; expected l1"},
      {{"orthogonal_regularizer", {}}, "takes matrices only"},
  };
  for (const Case& c : kCases) {
    EXPECT_THAT(Regularizer::Make(c.spec),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr(c.message)));
  }
}

}  // namespace
}  // namespace tconv::server
