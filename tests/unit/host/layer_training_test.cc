#include "server/host/layer_training.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/layer_config_builder.h"
#include "tests/unit/host/pixel_training.h"

namespace tconv::server {
namespace {

using tconv::testing::IsOk;
using tconv::testing::IsStep;
using tconv::testing::LayerConfigBuilder;
using tconv::testing::LayerTrainingTest;
using tconv::testing::OneByOne;
using tconv::testing::Pixel;
using tconv::testing::Replica;
using tconv::testing::Sgd;
using tconv::testing::StatusIs;
using tconv::testing::ValueOf;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::FloatEq;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

TEST_F(LayerTrainingTest, BackwardTellsTheGradientsAndChangesNothing) {
  for (int i = 0; i < 2; ++i) {
    const auto result = Backward(b_, 5, 2);
    ASSERT_THAT(result, IsOk());
    EXPECT_EQ(ValueOf(result->gradients.input), 2 * 3);
    EXPECT_EQ(ValueOf(result->gradients.weights.kernel), 2 * 5);
    EXPECT_EQ(ValueOf(*result->gradients.weights.bias), 2);
    EXPECT_EQ(result->weights_version, 1);
    EXPECT_THAT(result->losses, IsEmpty());
  }
}

TEST_F(LayerTrainingTest, BackwardLeavesOutWhatIsNotWanted) {
  const auto without_input = Backward(a_, 5, 2, {.wanted = {.input = false}});
  ASSERT_THAT(without_input, IsOk());
  EXPECT_EQ(without_input->gradients.input.size_bytes(), 0);
  EXPECT_EQ(ValueOf(without_input->gradients.weights.kernel), 10);
  const auto without_weights = Backward(a_, 5, 2, {.wanted = {.weights = false}});
  ASSERT_THAT(without_weights, IsOk());
  EXPECT_EQ(ValueOf(without_weights->gradients.input), 6);
  EXPECT_EQ(without_weights->gradients.weights.size_bytes(), 0);
}

TEST_F(LayerTrainingTest, BackwardNeedsTheVersionThatItIsAskedFor) {
  EXPECT_THAT(Backward(a_, 5, 2, {.min_version = 2}), StatusIs(StatusCode::kUnavailable));
}

TEST_F(LayerTrainingTest, BackwardOfAnEmptyBatchIsZero) {
  Pixel input(0, Shape({0, 2, 2, 1}));
  Pixel upstream(0, Shape({0, 2, 2, 1}));
  const auto result = a_.training().Backward(
      {.layer = "up", .input = input.source(), .upstream = upstream.source()});
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->gradients.input.shape(), Shape({0, 2, 2, 1}));
  EXPECT_EQ(ValueOf(result->gradients.weights.kernel), 0);
  EXPECT_EQ(ValueOf(*result->gradients.weights.bias), 0);
}

// Penalties of 0.5 w^2 on the kernel and of 0.25 y^2 on the output.
TEST_F(LayerTrainingTest, LossesOfWeightsCountWhileTheyAreTrainable) {
  OneByOne weights(3, 0);
  ASSERT_THAT(a_.host().Delete("up"), IsOk());
  ASSERT_THAT(a_.host().Create({"up",
                                LayerConfigBuilder()
                                    .KernelRegularizer({"L2", {{"l2", 0.5}}})
                                    .ActivityRegularizer({"L2", {{"l2", 0.25}}})
                                    .Build(),
                                {},
                                weights.source()}),
              IsOk());
  const auto thawed = Backward(a_, 2, 1, {.include_losses = true});
  ASSERT_THAT(thawed, IsOk());
  // dL/dy = 1 + 0.5 * 6, and 3 more by the kernel itself.
  EXPECT_EQ(ValueOf(thawed->gradients.weights.kernel), 4 * 2 + 3);
  EXPECT_EQ(ValueOf(thawed->gradients.input), 4 * 3);
  EXPECT_THAT(thawed->losses, ElementsAre(Field(&Loss::value, 9), Field(&Loss::value, 4.5)));

  ASSERT_THAT(a_.training().SetTrainable("up", false), IsOk());
  const auto frozen = Backward(a_, 2, 1, {.include_losses = true});
  ASSERT_THAT(frozen, IsOk());
  EXPECT_EQ(ValueOf(frozen->gradients.weights.kernel), 4 * 2);
  EXPECT_THAT(frozen->losses, ElementsAre(Field(&Loss::value, 9)));
}

TEST_F(LayerTrainingTest, AStepMovesTheWeightsAgainstTheirGradients) {
  ASSERT_THAT(Optimize(Sgd(0.5)), IsOk());
  EXPECT_THAT(Apply(a_, 2, 4), IsStep(2, 1));
  EXPECT_THAT(KernelAt(2), FloatEq(2));
  EXPECT_THAT(Apply(a_, 2, 4, {.learning_rate = 0.25}), IsStep(3, 2));
  EXPECT_THAT(KernelAt(3), FloatEq(1.5));
}

TEST_F(LayerTrainingTest, ATrainStepTellsWhatWasBeforeIt) {
  ASSERT_THAT(Optimize(Sgd(0.125)), IsOk());
  const auto result = Learn(a_, 2, 4, {.return_output = true, .return_input_gradient = true});
  ASSERT_THAT(result, IsOk());
  EXPECT_THAT(result->outcome,
              AllOf(Field(&StepOutcome::weights_version, 2), Field(&StepOutcome::iterations, 1)));
  EXPECT_EQ(result->loss, 4);  // (6 - 4)^2
  EXPECT_EQ(ValueOf(*result->output), 6);
  EXPECT_EQ(ValueOf(*result->input_gradient), 4 * 3);
  EXPECT_THAT(KernelAt(2), FloatEq(3 - 0.125F * 4 * 2));
  const auto without = Learn(a_, 2, 4);
  ASSERT_THAT(without, IsOk());
  EXPECT_FALSE(without->output.has_value());
  EXPECT_FALSE(without->input_gradient.has_value());
}

TEST_F(LayerTrainingTest, AnEmptyInputTeachesNothing) {
  ASSERT_THAT(Optimize(Sgd(0.5)), IsOk());
  Pixel input(0, Shape({0, 2, 2, 1}));
  Pixel upstream(0, Shape({0, 2, 2, 1}));
  EXPECT_THAT(a_.training().TrainStep(
                  {.terms = {.layer = "up"}, .input = input.source(), .signal = upstream.source()}),
              StatusIs(StatusCode::kInvalidArgument, StartsWith("input.shape: ")));
}

TEST_F(LayerTrainingTest, NotANumberIsAppliedAsKerasDoes) {
  ASSERT_THAT(Optimize(Sgd(0.5)), IsOk());
  EXPECT_THAT(Apply(a_, std::numeric_limits<float>::quiet_NaN(), 1), IsStep(2, 1));
  EXPECT_THAT(KernelAt(2), ::testing::IsNan());
}

TEST_F(LayerTrainingTest, StepsThatAreAskedForWronglyAreRefused) {
  ASSERT_THAT(Optimize(Sgd(0.5)), IsOk());
  const struct {
    const char* what;
    StepTerms terms;
    const char* field;
  } kCases[] = {
      {"no rate", {.learning_rate = 0}, "learning_rate: "},
      {"a negative rate", {.learning_rate = -1}, "learning_rate: "},
      {"a rate that is zero in float32", {.learning_rate = 1e-60}, "learning_rate: "},
      {"a rate without end",
       {.learning_rate = std::numeric_limits<double>::infinity()},
       "learning_rate: "},
      {"no number", {.learning_rate = std::numeric_limits<double>::quiet_NaN()}, "learning_rate: "},
      {"a long name", {.step_id = std::string(65, 'x')}, "step_id: "},
  };
  for (const auto& test : kCases) {
    EXPECT_THAT(Apply(a_, 1, 1, test.terms),
                StatusIs(StatusCode::kInvalidArgument, StartsWith(test.field)))
        << test.what;
  }
  EXPECT_EQ(KernelAt(1), 3);
}

TEST_F(LayerTrainingTest, TensorsOfOtherShapesAreRefused) {
  ASSERT_THAT(Optimize(Sgd(0.5)), IsOk());
  Pixel pixel(1);
  Pixel pixels(1, Shape({1, 1, 2, 1}));
  EXPECT_THAT(
      a_.training().Backward({.layer = "up", .input = pixel.source(), .upstream = pixels.source()}),
      StatusIs(StatusCode::kInvalidArgument, StartsWith("upstream.shape: ")));
  EXPECT_THAT(a_.training().TrainStep({.terms = {.layer = "up"},
                                       .input = pixel.source(),
                                       .loss = DataLoss::Make({"MeanSquaredError", {}}).value(),
                                       .signal = pixels.source()}),
              StatusIs(StatusCode::kInvalidArgument, StartsWith("target.shape: ")));
  WeightsSource without_bias = {pixel.source(), nullptr};
  EXPECT_THAT(a_.training().ApplyGradients({.layer = "up"}, without_bias),
              StatusIs(StatusCode::kInvalidArgument, StartsWith("gradients.bias")));
}

TEST_F(LayerTrainingTest, LayersThatCannotLearnSayWhy) {
  EXPECT_THAT(Apply(a_, 1, 1), StatusIs(StatusCode::kFailedPrecondition, HasSubstr("optimizer")));
  EXPECT_THAT(a_.training().GetOptimizer("up"), StatusIs(StatusCode::kFailedPrecondition));
  ASSERT_THAT(Optimize(Sgd(0.5)), IsOk());
  ASSERT_THAT(a_.training().SetTrainable("up", false), IsOk());
  // Also where that was not told yet.
  EXPECT_THAT(Apply(b_, 1, 1), StatusIs(StatusCode::kFailedPrecondition, HasSubstr("frozen")));
  ASSERT_THAT(b_.training().SetTrainable("up", true), IsOk());
  EXPECT_THAT(Apply(a_, 1, 1), IsStep(2, 1));

  ASSERT_THAT(a_.host().Create({"new", LayerConfigBuilder().Build(), {}, {}}), IsOk());
  OneByOne gradients(1, 1);
  EXPECT_THAT(a_.training().ApplyGradients({.layer = "new"}, gradients.source()),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("no weights yet")));
  EXPECT_THAT(a_.training().ApplyGradients({.layer = "none"}, gradients.source()),
              StatusIs(StatusCode::kNotFound));
}

TEST_F(LayerTrainingTest, AStepWhoseNameIsKnownIsToldAndNotMade) {
  ASSERT_THAT(Optimize(Sgd(0.125)), IsOk());
  const TrainStepJob job = {.terms = {.step_id = "first"}, .return_output = true};
  const auto made = Learn(a_, 2, 4, job);
  ASSERT_THAT(made, IsOk());
  ASSERT_THAT(Apply(b_, 1, 1), IsStep(3, 2));
  // Neither frozen layers nor other versions are in the way of an answer.
  ASSERT_THAT(a_.training().SetTrainable("up", false), IsOk());
  TrainStepJob again = job;
  again.terms.if_version = 1;
  const auto told = Learn(b_, 2, 4, again);
  ASSERT_THAT(told, IsOk());
  EXPECT_TRUE(told->outcome.was_applied_before);
  EXPECT_EQ(told->outcome.weights_version, 2);
  EXPECT_EQ(told->outcome.iterations, 1);
  EXPECT_EQ(told->loss, made->loss);
  EXPECT_FALSE(told->output.has_value());
}

TEST_F(LayerTrainingTest, TheLastSixteenNamesAreKnown) {
  ASSERT_THAT(Optimize(Sgd(0.5)), IsOk());
  for (int64_t step = 1; step <= 17; ++step) {
    ASSERT_THAT(Apply(a_, 0, 0, {.step_id = std::to_string(step)}), IsStep(1 + step, step));
  }
  EXPECT_THAT(Apply(a_, 0, 0, {.step_id = "2"}), IsStep(3, 2, /*was_applied_before=*/true));
  EXPECT_THAT(Apply(a_, 0, 0, {.step_id = "1"}), IsStep(19, 18));
}

TEST_F(LayerTrainingTest, AnOptimizerBeginsAnewAndKeepsTheNamesOfSteps) {
  ASSERT_THAT(Optimize(Sgd(0.5, 0.9)), IsOk());
  ASSERT_THAT(Apply(a_, 1, 1, {.step_id = "before"}), IsStep(2, 1));
  ASSERT_THAT(Optimize(Sgd(0.25)), IsOk());
  EXPECT_THAT(Apply(a_, 1, 1, {.step_id = "before"}), IsStep(2, 1, true));
  EXPECT_THAT(Apply(a_, 1, 1), IsStep(3, 1));
  EXPECT_THAT(KernelAt(3), FloatEq(2.25));
}

TEST_F(LayerTrainingTest, AnOptimizerGoesOnFromAGivenState) {
  ASSERT_THAT(Optimize(Sgd(0.5, 0.5)), IsOk());
  ASSERT_THAT(Apply(a_, 1, 0), IsStep(2, 1));
  auto info = b_.training().GetOptimizer("up");
  ASSERT_THAT(info, IsOk());
  EXPECT_EQ(info->weights_version, 2);
  ASSERT_THAT(a_.Create("copy", 2.5), IsOk());
  ASSERT_THAT(a_.training().SetOptimizer("copy", info->optimizer, std::move(info->state)), IsOk());
  OneByOne gradients(1, 0);
  EXPECT_THAT(b_.training().ApplyGradients({.layer = "copy"}, gradients.source()), IsStep(2, 2));
  EXPECT_THAT(Apply(a_, 1, 0), IsStep(3, 2));
  // Steps of -0.5 and -0.75.
  EXPECT_THAT(ValueOf((*b_.host().GetWeights("copy"))->kernel), FloatEq(1.75));
  EXPECT_THAT(KernelAt(3), FloatEq(1.75));
}

TEST_F(LayerTrainingTest, AStateNeedsWeightsThatItFits) {
  OptimizerState state;
  state.iterations = -1;
  EXPECT_THAT(Optimize(Sgd(0.5), std::move(state)),
              StatusIs(StatusCode::kInvalidArgument, StartsWith("iterations: ")));
  ASSERT_THAT(a_.host().Create({"new", LayerConfigBuilder().Build(), {}, {}}), IsOk());
  EXPECT_THAT(a_.training().SetOptimizer("new", Sgd(0.5), {.iterations = 1, .slots = {}}),
              StatusIs(StatusCode::kFailedPrecondition));
  EXPECT_THAT(a_.training().SetOptimizer("new", Sgd(0.5), {}), IsOk());
}

TEST(LayerTrainingLimitsTest, AnswersAndOutputsAreBounded) {
  MemoryStore store{int64_t{1} << 26};
  // A pixel in and out takes 4 bytes, and so do its weights together 8.
  HostLimits limits;
  limits.max_output_bytes = 8;
  Replica replica(store, limits);
  ASSERT_THAT(replica.Create("up", 3), IsOk());
  const auto backward = [&](const WantedGradients& wanted) {
    Pixel input(1);
    Pixel upstream(1);
    return replica.training()
        .Backward({.layer = "up",
                   .input = input.source(),
                   .upstream = upstream.source(),
                   .wanted = wanted})
        .status();
  };
  EXPECT_THAT(backward({}), StatusIs(StatusCode::kResourceExhausted));
  EXPECT_THAT(backward({.weights = false}), IsOk());
  EXPECT_THAT(backward({.input = false}), IsOk());
  ASSERT_THAT(replica.training().SetOptimizer("up", Sgd(0.5), {}), IsOk());
  Pixel input(1, Shape({1, 1, 2, 1}));
  Pixel upstream(1, Shape({1, 1, 2, 1}));
  TrainStepJob job = {.terms = {.layer = "up"},
                      .input = input.source(),
                      .signal = upstream.source(),
                      .return_output = true,
                      .return_input_gradient = true};
  EXPECT_THAT(replica.training().TrainStep(job), StatusIs(StatusCode::kResourceExhausted));
  job.return_input_gradient = false;
  EXPECT_THAT(replica.training().TrainStep(job), IsOk());
}

TEST(LayerTrainingTypesTest, GradientsHaveTheTypesOfThePolicy) {
  const struct {
    const char* policy;
    DType input;
    DType weights;
  } kCases[] = {{"float64", DType::kFloat64, DType::kFloat64},
                {"mixed_bfloat16", DType::kBFloat16, DType::kFloat32},
                {"bfloat16", DType::kBFloat16, DType::kBFloat16},
                {"float16", DType::kFloat16, DType::kFloat16}};
  MemoryStore store{int64_t{1} << 26};
  Replica replica(store);
  for (const auto& test : kCases) {
    OneByOne weights(3, 0);
    const LayerConfig config =
        LayerConfigBuilder().DType(test.policy).KernelRegularizer({"L2", {{"l2", 1.0}}}).Build();
    ASSERT_THAT(replica.host().Create({test.policy, config, {}, weights.source()}), IsOk());
    Pixel input(5);
    Pixel upstream(2);
    const auto result = replica.training().Backward({.layer = test.policy,
                                                     .input = input.source(),
                                                     .upstream = upstream.source(),
                                                     .include_losses = true});
    ASSERT_THAT(result, IsOk()) << test.policy;
    EXPECT_EQ(result->gradients.input.dtype(), test.input) << test.policy;
    const Tensor& kernel = result->gradients.weights.kernel;
    EXPECT_EQ(kernel.dtype(), test.weights) << test.policy;
    const Tensor value = Tensor::Converted(kernel.view(), DType::kFloat32).value();
    EXPECT_EQ(ValueOf(value), 2 * 5 + 2 * 3) << test.policy;

    ASSERT_THAT(replica.training().SetOptimizer(test.policy, Sgd(0.5), {}), IsOk());
    Pixel again(5);
    Pixel target(11);
    const auto step =
        replica.training().TrainStep({.terms = {.layer = test.policy},
                                      .input = again.source(),
                                      .loss = DataLoss::Make({"MeanSquaredError", {}}).value(),
                                      .signal = target.source()});
    ASSERT_THAT(step, IsOk()) << test.policy;
    EXPECT_EQ(step->loss, 16) << test.policy;
    EXPECT_THAT(step->layer_losses, ElementsAre(Field(&Loss::value, 9))) << test.policy;
  }
}

}  // namespace
}  // namespace tconv::server
