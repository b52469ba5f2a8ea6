#include "server/layer/constraint.h"

#include <gmock/gmock.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/support/status_matchers.h"
#include "tests/unit/layer/tensor_views.h"

namespace tconv::server {
namespace {

using ::tconv::testing::IsOk;
using ::tconv::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// `weight` projected in float64.
std::vector<double> Project(const ObjectSpec& spec, const Shape& shape,
                            std::vector<double> weight) {
  Constraint::Make(spec)->Project(AsTensor(shape, weight));
  return weight;
}

TEST(ConstraintTest, ProjectsByTheFormulasOfKeras) {
  // Columns (3, 4) with norm 5 and (0.6, 0.8) with norm 1.
  const Shape shape = {2, 2};
  const std::vector<double> weight = {3, 0.6, -4, 0.8};
  struct Case {
    ObjectSpec spec;
    double norms[2];  // of the columns, afterwards
  } const kCases[] = {
      {{"MaxNorm", {}}, {2, 1}},
      {{"max_norm", {{"max_value", 0.5}}}, {0.5, 0.5}},
      {{"UnitNorm", {}}, {1, 1}},
      {{"MinMaxNorm", {{"min_value", 2.0}, {"max_value", 4.0}}}, {4, 2}},
      {{"MinMaxNorm", {{"min_value", 2.0}, {"max_value", 4.0}, {"rate", 0.5}}}, {4.5, 1.5}},
      {{"Constraint", {}}, {5, 1}},
  };
  for (const Case& c : kCases) {
    const std::vector<double> projected = Project(c.spec, shape, weight);
    EXPECT_NEAR(std::hypot(projected[0], projected[2]), c.norms[0], 1e-6) << c.spec.name;
    EXPECT_NEAR(std::hypot(projected[1], projected[3]), c.norms[1], 1e-6) << c.spec.name;
    EXPECT_LT(projected[2], 0) << c.spec.name;
  }
}

TEST(ConstraintTest, DividesByTheNormPlusEpsilon) {
  // Not idempotent: the norm that comes out is norm^2 / (1e-7 + norm).
  EXPECT_DOUBLE_EQ(Project({"MaxNorm", {}}, {1}, {1})[0], 1 / (1 + 1e-7));
  EXPECT_EQ(Project({"UnitNorm", {}}, {2}, {0, 0}), std::vector<double>({0, 0}));
}

TEST(ConstraintTest, TakesTheNormOverTheNamedAxes) {
  using Axes = std::vector<double>;
  struct Case {
    ArgumentValue axis;
    size_t group_size;  // elements that share a norm in a weight of [2, 3, 4]
  } const kCases[] = {
      {0.0, 2},         {-1.0, 4},           {Axes{0, 1}, 6},        {Axes{-1, 0}, 8},
      {Axes{1, 2}, 12}, {Axes{0, 1, 2}, 24}, {std::monostate(), 24},
  };
  for (const Case& c : kCases) {
    const auto projected =
        Project({"UnitNorm", {{"axis", c.axis}}}, {2, 3, 4}, std::vector<double>(24, 7));
    const double expected = 1 / std::sqrt(static_cast<double>(c.group_size));
    for (const double value : projected) EXPECT_NEAR(value, expected, 1e-7);
  }
}

TEST(ConstraintTest, ClearsNegativeWeightsInFloat32) {
  std::vector<float> weight = {-1, 0, 2, -0.5};
  Constraint::Make({"non_neg", {}})->Project(AsTensor({4}, weight));
  EXPECT_THAT(weight, ElementsAre(0, 0, 2, 0));
}

TEST(ConstraintTest, ResolvesTheSpellingsOfKeras2And3) {
  struct Case {
    const char* given;
    const char* name;
  } const kCases[] = {
      {"NonNeg", "NonNeg"},         {"non_neg", "NonNeg"},    {"nonneg", "NonNeg"},
      {"MaxNorm", "MaxNorm"},       {"max_norm", "MaxNorm"},  {"maxnorm", "MaxNorm"},
      {"unit_norm", "UnitNorm"},    {"unitnorm", "UnitNorm"}, {"min_max_norm", "MinMaxNorm"},
      {"constraint", "Constraint"},
  };
  for (const Case& c : kCases) EXPECT_EQ(Constraint::Make({c.given, {}})->spec().name, c.name);
}

TEST(ConstraintTest, PrintsEveryArgument) {
  EXPECT_EQ(Constraint::Make({"max_norm", {}})->spec(),
            (ObjectSpec{"MaxNorm", {{"max_value", 2.0}, {"axis", 0.0}}}));
}

TEST(ConstraintTest, RefusesAxesThatTheWeightLacks) {
  using Axes = std::vector<double>;
  const auto accepts = [](const ArgumentValue& axis, int rank) {
    return Constraint::Make({"MaxNorm", {{"axis", axis}}})->Accepts(rank);
  };
  EXPECT_THAT(accepts(3.0, 4), IsOk());
  EXPECT_THAT(accepts(4.0, 4), StatusIs(StatusCode::kInvalidArgument,
                                        "arguments.axis: expected an axis from -4 to 3, got 4"));
  EXPECT_THAT(accepts(Axes{0, -5}, 4), StatusIs(StatusCode::kInvalidArgument));
  EXPECT_THAT(accepts(Axes{3, -1}, 4),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("each axis once")));
}

TEST(ConstraintTest, RefusesWhatItCannotProject) {
  EXPECT_THAT(Constraint::Make({"radial_constraint", {}}),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("Keras 3")));
  EXPECT_THAT(Constraint::Make({"Maxnorm", {}}),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("name: expected a constraint (")));
  EXPECT_THAT(Constraint::Make({"MaxNorm", {{"axis", std::vector<double>{}}}}),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("arguments.axis")));
}

}  // namespace
}  // namespace tconv::server
