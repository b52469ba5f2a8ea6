#include "server/layer/data_loss.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
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
using ::testing::IsNan;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

const ObjectSpec kCrossentropy = {"BinaryCrossentropy", {{"from_logits", true}}};
const ObjectSpec kSmoothCrossentropy = {"binary_crossentropy",
                                        {{"from_logits", true}, {"label_smoothing", 0.2}}};

template <typename T>
struct Evaluation {
  double loss;
  std::vector<T> gradient;
};

template <typename T>
Evaluation<T> Evaluate(const ObjectSpec& spec, std::vector<T> output, std::vector<T> target) {
  const StatusOr<DataLoss> loss = DataLoss::Make(spec);
  EXPECT_THAT(loss, IsOk());
  const Shape shape = {std::ssize(output)};
  std::vector<T> gradient(output.size());
  const double value =
      loss->Evaluate(AsTensor(shape, output), AsTensor(shape, target), AsTensor(shape, gradient));
  return {value, std::move(gradient)};
}

TEST(DataLossTest, IsTheMeanOverAllElements) {
  const auto squared = Evaluate<float>({"MeanSquaredError", {}}, {1, 2, 3, 4}, {1, 4, 2, 4});
  EXPECT_EQ(squared.loss, 1.25);
  EXPECT_THAT(squared.gradient, ElementsAre(0, -1, 0.5, 0));

  const auto absolute = Evaluate<double>({"mean_absolute_error", {}}, {1, 2, 3, 4}, {1, 4, 2, 4});
  EXPECT_EQ(absolute.loss, 0.75);
  EXPECT_THAT(absolute.gradient, ElementsAre(0, -0.25, 0.25, 0));
}

TEST(DataLossTest, TakesLogitsInCrossentropy) {
  const auto sharp = Evaluate<double>(kCrossentropy, {0, 2}, {1, 0});
  const double sigmoid = 1 / (1 + std::exp(-2.0));
  EXPECT_DOUBLE_EQ(sharp.loss, (std::log(2.0) - std::log(1 - sigmoid)) / 2);
  EXPECT_DOUBLE_EQ(sharp.gradient[0], -0.25);
  EXPECT_DOUBLE_EQ(sharp.gradient[1], sigmoid / 2);

  // Targets of 1 and 0 become 0.9 and 0.1.
  const auto smooth = Evaluate<double>(kSmoothCrossentropy, {0, 2}, {1, 0});
  EXPECT_DOUBLE_EQ(smooth.gradient[0], (0.5 - 0.9) / 2);
  EXPECT_DOUBLE_EQ(smooth.gradient[1], (sigmoid - 0.1) / 2);
  EXPECT_DOUBLE_EQ(smooth.loss,
                   (std::log(2.0) - 0.1 * std::log(sigmoid) - 0.9 * std::log(1 - sigmoid)) / 2);
}

TEST(DataLossTest, StaysFiniteForLargeLogits) {
  const auto evaluation = Evaluate<float>(kCrossentropy, {1000, -1000, 1e30f}, {0, 0, 1});
  EXPECT_FLOAT_EQ(static_cast<float>(evaluation.loss), 1000.0f / 3);
  EXPECT_THAT(evaluation.gradient, ElementsAre(1.0f / 3, 0, 0));
}

TEST(DataLossTest, HasTheGradientThatFiniteDifferencesShow) {
  constexpr double kStep = 1e-6;
  const std::vector<double> target = {0.25, 0.75, 1};
  for (const ObjectSpec& spec :
       {ObjectSpec{"mean_squared_error", {}}, ObjectSpec{"MeanAbsoluteError", {}}, kCrossentropy,
        kSmoothCrossentropy}) {
    const std::vector<double> output = {0.5, -1.5, 3};
    const auto evaluation = Evaluate(spec, output, target);
    for (size_t i = 0; i < output.size(); ++i) {
      std::vector<double> ahead = output;
      std::vector<double> behind = output;
      ahead[i] += kStep;
      behind[i] -= kStep;
      const double difference =
          (Evaluate(spec, ahead, target).loss - Evaluate(spec, behind, target).loss) / (2 * kStep);
      EXPECT_NEAR(evaluation.gradient[i], difference, 1e-8) << spec.name << "[" << i << "]";
    }
  }
}

TEST(DataLossTest, PropagatesNaN) {
  for (const ObjectSpec& spec :
       {ObjectSpec{"MeanSquaredError", {}}, ObjectSpec{"MeanAbsoluteError", {}}, kCrossentropy}) {
    const auto evaluation = Evaluate<float>(spec, {static_cast<float>(kNaN), 0.5f}, {0, 0});
    EXPECT_THAT(evaluation.loss, IsNan()) << spec.name;
    EXPECT_THAT(evaluation.gradient[0], IsNan()) << spec.name;
    EXPECT_FALSE(std::isnan(evaluation.gradient[1])) << spec.name;
  }
}

TEST(DataLossTest, SumsManyElementsExactly) {
  // In float32 the sum would stop growing at 2^24.
  std::vector<float> output(size_t{1} << 25, 1);
  std::vector<float> target(output.size());
  EXPECT_EQ(Evaluate<float>({"MeanSquaredError", {}}, output, target).loss, 1);
}

TEST(DataLossTest, PrintsItsClassWithEveryArgument) {
  EXPECT_EQ(DataLoss::Make({"mean_squared_error", {}})->spec(),
            (ObjectSpec{"MeanSquaredError", {}}));
  EXPECT_EQ(DataLoss::Make(kCrossentropy)->spec(),
            (ObjectSpec{"BinaryCrossentropy", {{"from_logits", true}, {"label_smoothing", 0.0}}}));
  EXPECT_FALSE(*DataLoss::Make(kCrossentropy) == *DataLoss::Make(kSmoothCrossentropy));
}

TEST(DataLossTest, RefusesWhatItCannotCompute) {
  struct Case {
    ObjectSpec spec;
    const char* message;
  } const kCases[] = {
      {{"Huber", {}},
       "name: expected a loss (MeanSquaredError, MeanAbsoluteError, BinaryCrossentropy), got"},
      {{"MeanSquaredError", {{"axis", 1.0}}}, "arguments.axis: MeanSquaredError has no such"},
      {{"BinaryCrossentropy", {}},
       "arguments.from_logits: expected true: probabilities are not supported, got nothing"},
      {{"BinaryCrossentropy", {{"from_logits", false}}}, "are not supported, got false"},
      {{"BinaryCrossentropy", {{"from_logits", true}, {"label_smoothing", 1.5}}},
       "arguments.label_smoothing: expected a number from 0 to 1"},
  };
  for (const Case& c : kCases) {
    EXPECT_THAT(DataLoss::Make(c.spec),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr(c.message)));
  }
}

}  // namespace
}  // namespace tconv::server
