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
using ::testing::HasSubstr;

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
