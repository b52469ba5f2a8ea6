#include "server/compute/gradient_kernels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "server/compute/vector_form.h"

namespace tconv::server {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

Activation Named(const std::string& name) { return Activation::Make({name, {}}).value(); }

class GradientKernelsTest : public ::testing::TestWithParam<const GradientKernels*> {
 protected:
  // f'(z) of the kernels.
  std::vector<float> DerivativesOf(const Activation& activation, const std::vector<float>& z) {
    std::vector<float> gradient(z.size(), 1.0f);
    const VectorForm form = VectorFormOf(activation);
    EXPECT_NE(form.activation, VectorActivation::kNone) << activation.spec().name;
    GetParam()->differentiate(form.activation, form.parameter, z.data(), gradient.data(), z.size());
    return gradient;
  }
};

INSTANTIATE_TEST_SUITE_P(Isas, GradientKernelsTest,
                         ::testing::ValuesIn(RunnableGradientKernels().begin(),
                                             RunnableGradientKernels().end()));

std::vector<Activation> ActivationsWithVectorForms() {
  std::vector<Activation> activations;
  for (const char* name : {"relu", "leaky_relu", "tanh", "sigmoid", "silu", "elu", "selu",
                           "softplus", "gelu", "exponential", "mish"}) {
    activations.push_back(Named(name));
  }
  activations.push_back(Activation::Make({"gelu", {{"approximate", true}}}).value());
  activations.push_back(Activation::Make({"elu", {{"alpha", 0.7}}}).value());
  activations.push_back(Activation::Make({"leaky_relu", {{"negative_slope", 0.01}}}).value());
  return activations;
}

TEST_P(GradientKernelsTest, DerivativesAreThoseOfTheLayer) {
  std::vector<float> z;
  for (float value = -100; value <= 80; value += 0.37f) z.push_back(value);
  for (float value = -3; value <= 3; value += 0.0125f) z.push_back(value);
  z.insert(z.end(), {0.0f, -0.0f, 1e-30f, -1e-30f});
  for (const Activation& activation : ActivationsWithVectorForms()) {
    std::vector<double> wide(z.begin(), z.end());
    std::vector<double> expected(z.size(), 1.0);
    activation.DifferentiateElementwise<double>(wide, expected);
    const std::vector<float> actual = DerivativesOf(activation, z);
    for (size_t i = 0; i < z.size(); ++i) {
      const double bound = 1e-6 * std::max(1.0, std::fabs(expected[i]));
      // The exponential of a float in front of the point is known to some 1e-6.
      const double slack = activation.spec().name == "exponential" ? 10 : 1;
      EXPECT_NEAR(actual[i], expected[i], slack * bound)
          << activation.spec().name << " at " << z[i];
    }
  }
}

TEST_P(GradientKernelsTest, ExtremesAreThoseOfTheLayer) {
  const std::vector<float> z = {-kInfinity, kInfinity, -1e30f, 1e30f};
  for (const Activation& activation : ActivationsWithVectorForms()) {
    std::vector<float> expected(z.size(), 1.0f);
    activation.DifferentiateElementwise<float>(z, expected);
    const std::vector<float> actual = DerivativesOf(activation, z);
    for (size_t i = 0; i < z.size(); ++i) {
      if (std::isinf(expected[i])) {
        EXPECT_EQ(actual[i], expected[i]) << activation.spec().name << " at " << z[i];
      } else {
        EXPECT_NEAR(actual[i], expected[i], 1e-6) << activation.spec().name << " at " << z[i];
      }
    }
  }
}

TEST_P(GradientKernelsTest, NaNGivesNaN) {
  for (const Activation& activation : ActivationsWithVectorForms()) {
    for (const float derivative : DerivativesOf(activation, {kNaN, kNaN, kNaN})) {
      EXPECT_TRUE(std::isnan(derivative)) << activation.spec().name;
    }
  }
}

TEST_P(GradientKernelsTest, AValueGivesTheSameBitsWhereverItStands) {
  for (const Activation& activation : ActivationsWithVectorForms()) {
    const std::vector<float> many = DerivativesOf(activation, std::vector<float>(37, -0.83f));
    EXPECT_THAT(many, ::testing::Each(many[0])) << activation.spec().name;
  }
}

TEST_P(GradientKernelsTest, RowsAreAddedByColumn) {
  for (const size_t columns : {1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 100}) {
    for (const size_t rows : {0, 1, 5, 40}) {
      std::vector<float> values(rows * columns);
      for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 13) - 4;
      std::vector<double> expected(columns, 0.5);
      for (size_t i = 0; i < values.size(); ++i) expected[i % columns] += values[i];
      std::vector<double> sums(columns, 0.5);
      GetParam()->add_rows(values.data(), rows, columns, sums.data());
      EXPECT_EQ(sums, expected) << rows << " x " << columns;
    }
  }
}

}  // namespace
}  // namespace tconv::server
