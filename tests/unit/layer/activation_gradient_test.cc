#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "server/layer/activation.h"
#include "tests/support/activations.h"
#include "tests/unit/layer/tensor_views.h"

namespace tconv::server {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsNan;

using Arguments = std::map<std::string, ArgumentValue>;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

template <typename T>
T Derivative(const ObjectSpec& spec, T z) {
  T gradient = 1;
  MakeActivation(spec).DifferentiateElementwise(std::span<const T>(&z, 1),
                                                std::span<T>(&gradient, 1));
  return gradient;
}

std::vector<double> ApplyToRow(const Activation& activation, std::vector<double> z) {
  const Shape shape = {std::ssize(z)};
  std::vector<double> y(static_cast<size_t>(activation.OutputShape(shape)->num_elements()));
  activation.ApplyAlongAxis(AsTensor(shape, z), AsTensor({std::ssize(y)}, y));
  return y;
}

template <typename T>
std::vector<T> DifferentiateRow(const ObjectSpec& spec, std::vector<T> z, std::vector<T> diff_y) {
  std::vector<T> diff_z(z.size());
  MakeActivation(spec).DifferentiateAlongAxis(AsTensor({std::ssize(z)}, z),
                                              AsTensor({std::ssize(diff_y)}, diff_y),
                                              AsTensor({std::ssize(diff_z)}, diff_z));
  return diff_z;
}

// Every element-wise function, with its default and with other arguments.
const std::vector<ObjectSpec>& ElementwiseSpecs() {
  static const auto& specs = *new std::vector<ObjectSpec>{
      {"linear", {}},
      {"relu", {}},
      {"relu", {{"max_value", 1.5}}},
      {"relu", {{"max_value", 6.0}}},
      {"relu", {{"negative_slope", 0.1}}},
      {"relu", {{"negative_slope", 0.1}, {"max_value", 1.5}, {"threshold", 0.3}}},
      {"relu", {{"negative_slope", 0.1}, {"max_value", 1.5}, {"threshold", -1.1}}},
      {"leaky_relu", {}},
      {"LeakyReLU", {}},
      {"relu6", {}},
      {"elu", {}},
      {"elu", {{"alpha", 0.4}}},
      {"selu", {}},
      {"celu", {}},
      {"celu", {{"alpha", 2.0}}},
      {"gelu", {}},
      {"gelu", {{"approximate", true}}},
      {"sigmoid", {}},
      {"hard_sigmoid", {}},
      {"hard_sigmoid", {{"slope", 0.2}}},
      {"log_sigmoid", {}},
      {"sparse_sigmoid", {}},
      {"silu", {}},
      {"hard_silu", {}},
      {"tanh", {}},
      {"hard_tanh", {}},
      {"tanh_shrink", {}},
      {"soft_shrink", {}},
      {"soft_shrink", {{"threshold", 1.1}}},
      {"hard_shrink", {}},
      {"hard_shrink", {{"threshold", 1.1}}},
      {"threshold", {{"threshold", 0.3}, {"default_value", 2.0}}},
      {"softplus", {}},
      {"softsign", {}},
      {"squareplus", {}},
      {"squareplus", {{"b", 0.5}}},
      {"sparse_plus", {}},
      {"mish", {}},
      {"exponential", {}},
  };
  return specs;
}

TEST(ActivationGradientTest, AgreesWithFiniteDifferences) {
  constexpr double kStep = 1e-5;
  for (const ObjectSpec& spec : ElementwiseSpecs()) {
    const Activation activation = MakeActivation(spec);
    for (double z = -7.0341; z < 8; z += 0.17) {  // not at kinks
      double ends[] = {z - kStep, z + kStep};
      activation.ApplyElementwise(std::span<double>(ends));
      const double difference = (ends[1] - ends[0]) / (2 * kStep);
      const double tolerance = 1e-8 * (1 + std::abs(difference));
      EXPECT_NEAR(Derivative(spec, z), difference, tolerance) << spec.name << "(" << z << ")";
      EXPECT_NEAR(Derivative(spec, static_cast<float>(z)), difference,
                  1e-6 * (1 + std::abs(difference)) * (1 + std::abs(z)))
          << spec.name << "(" << z << "f)";
    }
  }
}

TEST(ActivationGradientTest, CoversEveryElementwiseFunction) {
  const std::string known(Activation::Make({"?", {}}).status().message());
  const auto commas =
      std::count(known.begin(), known.begin() + static_cast<ptrdiff_t>(known.find(')')), ',');
  std::set<std::string> covered;
  for (const ObjectSpec& spec : ElementwiseSpecs())
    covered.insert(MakeActivation(spec).spec().name);
  // softmax, log_softmax, sparsemax and glu are tested by rows.
  EXPECT_EQ(std::ssize(covered) + 4, commas + 1) << known;
}

TEST(ActivationGradientTest, TakesTheSideOfKerasAtKinks) {
  struct Case {
    ObjectSpec spec;
    double z;
    double expected;
  } const kCases[] = {
      {{"relu", {}}, 0, 0},
      {{"relu", {}}, -0.0, 0},
      {{"relu", {{"max_value", 2.0}}}, 0, 0},
      {{"relu", {{"max_value", 2.0}}}, 2, 1},
      {{"relu", {{"max_value", 6.0}}}, 6, 0},
      {{"relu", {{"max_value", 6.0}, {"threshold", 1.0}}}, 6, 1},
      {{"relu", {{"max_value", 0.0}}}, 0, 0},
      {{"relu", {{"negative_slope", 0.1}}}, 0, 0.1},
      {{"relu", {{"negative_slope", 0.1}, {"max_value", 2.0}}}, 0, 0},
      {{"relu", {{"threshold", 0.5}}}, 0.5, 0},
      {{"relu", {{"negative_slope", 0.1}, {"threshold", 0.5}}}, 0.5, 0},
      {{"relu", {{"max_value", 2.0}, {"threshold", -1.0}}}, -0.5, 0},
      {{"relu", {{"max_value", 2.0}, {"threshold", -1.0}}}, 0, 1},
      {{"leaky_relu", {}}, 0, 0.2},
      {{"relu6", {}}, 0, 0},
      {{"relu6", {}}, 6, 0},
      {{"elu", {{"alpha", 0.4}}}, 0, 0.4},
      {{"selu", {}}, 0, 1.7580993408473766},
      {{"celu", {{"alpha", 2.0}}}, 0, 1},
      {{"hard_sigmoid", {}}, -3, 0},
      {{"hard_sigmoid", {}}, 3, 0},
      {{"hard_sigmoid", {{"slope", 0.2}}}, 2.5, 0},
      {{"sparse_sigmoid", {}}, -1, 0},
      {{"sparse_sigmoid", {}}, 1, 0},
      {{"hard_silu", {}}, -3, 0},
      {{"hard_silu", {}}, 3, 1},
      {{"hard_tanh", {}}, -1, 0},
      {{"hard_tanh", {}}, 1, 0},
      {{"soft_shrink", {}}, 0.5, 0},
      {{"soft_shrink", {}}, -0.5, 0},
      {{"hard_shrink", {}}, 0.5, 0},
      {{"hard_shrink", {}}, -0.5, 0},
      {{"threshold", {{"threshold", 0.5}, {"default_value", 0.0}}}, 0.5, 0},
      {{"softsign", {}}, 0, 1},
      {{"sparse_plus", {}}, -1, 0},
      {{"sparse_plus", {}}, 1, 1},
  };
  for (const Case& c : kCases) {
    EXPECT_DOUBLE_EQ(Derivative(c.spec, c.z), c.expected) << c.spec.name << "(" << c.z << ")";
    EXPECT_FLOAT_EQ(Derivative(c.spec, static_cast<float>(c.z)), static_cast<float>(c.expected))
        << c.spec.name << "(" << c.z << "f)";
  }
}

TEST(ActivationGradientTest, HasTheLimitsFarFromZero) {
  struct Case {
    const char* name;
    double at_minus_infinity;
    double at_infinity;
  } const kCases[] = {
      {"linear", 1, 1},        {"relu", 0, 1},        {"leaky_relu", 0.2, 1},
      {"relu6", 0, 0},         {"elu", 0, 1},         {"selu", 0, 1.0507009873554805},
      {"celu", 0, 1},          {"gelu", 0, 1},        {"sigmoid", 0, 0},
      {"hard_sigmoid", 0, 0},  {"log_sigmoid", 1, 0}, {"sparse_sigmoid", 0, 0},
      {"silu", 0, 1},          {"hard_silu", 0, 1},   {"tanh", 0, 0},
      {"hard_tanh", 0, 0},     {"tanh_shrink", 1, 1}, {"soft_shrink", 1, 1},
      {"hard_shrink", 1, 1},   {"softplus", 0, 1},    {"softsign", 0, 0},
      {"squareplus", 0, 1},    {"sparse_plus", 0, 1}, {"mish", 0, 1},
      {"exponential", 0, kInf}};
  for (const Case& c : kCases) {
    for (const double size : {1e3, 1e30, 1e300, kInf}) {
      const auto expect = [&](double z, double want) {
        if (std::isinf(want)) {
          EXPECT_EQ(Derivative<double>({c.name, {}}, z), want) << c.name << "(" << z << ")";
          EXPECT_EQ(Derivative({c.name, {}}, static_cast<float>(z)), want) << c.name << z << "f";
          return;
        }
        EXPECT_NEAR(Derivative<double>({c.name, {}}, z), want, 1e-5) << c.name << "(" << z << ")";
        EXPECT_NEAR(Derivative({c.name, {}}, static_cast<float>(z)), want, 1e-5)
            << c.name << "(" << z << "f)";
      };
      expect(-size, c.at_minus_infinity);
      expect(size, c.at_infinity);
    }
  }
  const Activation approximate = MakeActivation({"gelu", {{"approximate", true}}});
  for (const float z : {1e30f, static_cast<float>(kInf)}) {
    EXPECT_EQ(Derivative(approximate.spec(), z), 1);
    EXPECT_EQ(Derivative(approximate.spec(), -z), 0);
  }
}

TEST(ActivationGradientTest, KeepsSmallValuesThatCancellationWouldLose) {
  EXPECT_NEAR(Derivative<double>({"tanh", {}}, 30) / (4 * std::exp(-60.0)), 1, 1e-12);
  EXPECT_NEAR(Derivative<double>({"sigmoid", {}}, 50) / std::exp(-50.0), 1, 1e-12);
  EXPECT_NEAR(Derivative<double>({"log_sigmoid", {}}, 50) / std::exp(-50.0), 1, 1e-12);
}

TEST(ActivationGradientTest, PropagatesNaN) {
  for (const ObjectSpec& spec : ElementwiseSpecs()) {
    if (spec.name == "linear") continue;
    EXPECT_TRUE(std::isnan(Derivative(spec, kNaN))) << spec.name;
    EXPECT_TRUE(std::isnan(Derivative(spec, static_cast<float>(kNaN)))) << spec.name;
  }
  EXPECT_EQ(Derivative<double>({"linear", {}}, kNaN), 1);
  for (const char* name : {"softmax", "log_softmax", "sparsemax"}) {
    EXPECT_THAT(DifferentiateRow<double>({name, {}}, {1, kNaN, 2}, {1, 1, 2}), Each(IsNan()))
        << name;
  }
}

TEST(ActivationGradientTest, MultipliesTheGradientThatIsThere) {
  const std::vector<float> z = {-1, 2, 3};
  std::vector<float> gradient = {5, -7, static_cast<float>(kNaN)};
  MakeActivation({"leaky_relu", {}})
      .DifferentiateElementwise(std::span<const float>(z), std::span(gradient));
  EXPECT_THAT(gradient, ElementsAre(1, -7, IsNan()));
}

TEST(ActivationGradientTest, AgreesWithFiniteDifferencesAlongAnAxis) {
  constexpr double kStep = 1e-6;
  const std::vector<double> row = {0.3, -1.2, 0.7, 0.45, -0.1, 1.1};
  const std::vector<double> wide_row = {4, -1.2, 0.7, 0.45, -0.1, 1.1};
  const std::vector<double> upstream = {0.7, -0.3, 1.9, 0.2, -1.1, 0.4};
  for (const char* name : {"softmax", "log_softmax", "sparsemax", "glu"}) {
    for (const std::vector<double>& z : {row, wide_row}) {
      const Activation activation = MakeActivation({name, {}});
      const size_t outputs = ApplyToRow(activation, z).size();
      const std::vector<double> diff_y(upstream.begin(),
                                       upstream.begin() + static_cast<ptrdiff_t>(outputs));
      const auto loss = [&](const std::vector<double>& at) {
        const std::vector<double> y = ApplyToRow(activation, at);
        double sum = 0;
        for (size_t i = 0; i < y.size(); ++i) sum += y[i] * diff_y[i];
        return sum;
      };
      const std::vector<double> diff_z = DifferentiateRow({name, {}}, z, diff_y);
      for (size_t i = 0; i < z.size(); ++i) {
        std::vector<double> ahead = z;
        std::vector<double> behind = z;
        ahead[i] += kStep;
        behind[i] -= kStep;
        EXPECT_NEAR(diff_z[i], (loss(ahead) - loss(behind)) / (2 * kStep), 1e-8)
            << name << "[" << i << "]";
      }
    }
  }
}

TEST(ActivationGradientTest, CountsAnElementOfSparsemaxInEachPartialSum) {
  // Both elements in the support: tau = (z0 + (z0 + z1) - 1) / 2.
  EXPECT_THAT(DifferentiateRow<double>({"sparsemax", {}}, {0.6, 0.5, -1}, {1, 2, 4}),
              ElementsAre(1 - 3.0, 2 - 1.5, 0));
  // Too large for the support to be seen: the threshold counts as constant.
  EXPECT_THAT(DifferentiateRow<double>({"sparsemax", {}}, {1e30, 0}, {1, 2}), ElementsAre(1, 2));
}

TEST(ActivationGradientTest, StaysFiniteAlongAnAxisForLargeInputs) {
  EXPECT_THAT(DifferentiateRow<float>({"softmax", {}}, {1e4, 0, 1e4}, {1, 5, 3}),
              ElementsAre(-0.5, 0, 0.5));
  EXPECT_THAT(DifferentiateRow<float>({"log_softmax", {}}, {1e30f, 0}, {1, 5}), ElementsAre(-5, 5));
  EXPECT_THAT(DifferentiateRow<float>({"glu", {}}, {3, 4, 1e30f, -1e30f}, {1, 1}),
              ElementsAre(1, 0, 0, 0));
}

TEST(ActivationGradientTest, RunsAlongTheAxisThatIsNamed) {
  // [2, 4, 2], halved from [2, 4, 2]; the gates are 0, where the sigmoid is 1/2 and
  // has the slope 1/4.
  std::vector<float> z = {1, 2, 3, 4, 0, 0, 0, 0, 5, 6, 7, 8, 0, 0, 0, 0};
  std::vector<float> diff_y = {2, 4, 6, 8, 2, 2, 2, 2};
  std::vector<float> diff_z(16);
  MakeActivation({"glu", {{"axis", 1.0}}})
      .DifferentiateAlongAxis(AsTensor({2, 4, 2}, z), AsTensor({2, 2, 2}, diff_y),
                              AsTensor({2, 4, 2}, diff_z));
  EXPECT_THAT(diff_z, ElementsAre(1, 2, 3, 4, 0.5, 2, 4.5, 8, 1, 1, 1, 1, 2.5, 3, 3.5, 4));

  // In place, along the outermost axis.
  std::vector<float> columns = {0, 5, 0, 5};
  std::vector<float> diff_columns = {4, 0, 0, 8};
  const TensorView in_place = AsTensor({2, 2}, diff_columns);
  MakeActivation({"softmax", {{"axis", -2.0}}})
      .DifferentiateAlongAxis(AsTensor({2, 2}, columns), in_place, in_place);
  EXPECT_THAT(diff_columns, ElementsAre(1, -2, -1, 2));
}

TEST(ActivationGradientTest, TakesAnEmptyTensorAlongItsAxis) {
  std::vector<float> nothing;
  const TensorView view = AsTensor({2, 0, 3}, nothing);
  MakeActivation({"softmax", {}}).DifferentiateAlongAxis(view, view, view);
}

}  // namespace
}  // namespace tconv::server
