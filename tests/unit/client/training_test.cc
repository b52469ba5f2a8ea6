// The calls that train a layer, as they look on the wire.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/client.h>
#include <tconv/v1/training.pb.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/status_matchers.h"
#include "tests/unit/client/fake_service.h"

namespace tconv {
namespace {

using absl::StatusCode;
using std::chrono::milliseconds;
using tconv::testing::FakeServer;
using tconv::testing::FakeTrainingService;
using tconv::testing::IsOk;
using tconv::testing::IsOkAndHolds;
using tconv::testing::StatusIs;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Property;
using ::testing::SizeIs;

Tensor Floats(std::initializer_list<float> values) {
  return *Tensor::FromValues<float>({static_cast<int64_t>(values.size())}, values);
}

std::vector<float> ValuesOf(const Tensor& tensor) {
  const auto values = *tensor.values<float>();
  return {values.begin(), values.end()};
}

void Fill(v1::Tensor* proto, const Tensor& tensor) {
  proto->set_dtype(tensor.dtype());
  proto->mutable_shape()->Assign(tensor.shape().begin(), tensor.shape().end());
  proto->set_data(std::string(tensor.bytes()));
}

v1::KerasObject Object(const std::string& name) {
  v1::KerasObject object;
  object.set_name(name);
  return object;
}

ClientOptions RepeatingAtOnce() {
  return {.retry = {.attempts = 3, .first_delay = milliseconds(1), .max_delay = milliseconds(2)}};
}

class TrainingTest : public ::testing::Test {
 protected:
  FakeTrainingService& service() { return server_.training; }

  FakeServer server_;
  const Client client_{server_.target, RepeatingAtOnce()};
  const Tensor x_ = Floats({1, 2, 3});
  const Tensor dy_ = Floats({4, 5});
};

TEST_F(TrainingTest, BackwardSendsBothTensorsAndItsSettings) {
  ASSERT_THAT(client_.Backward("up", x_, dy_,
                               {.include_losses = true,
                                .min_version = 7,
                                .skip_input_gradient = true,
                                .skip_weight_gradients = true}),
              IsOk());
  const v1::BackwardRequest request = service().backward.requests().at(0);
  EXPECT_EQ(request.name(), "up");
  EXPECT_THAT(request.input().shape(), ElementsAre(3));
  EXPECT_EQ(request.input().data(), x_.bytes());
  EXPECT_EQ(request.upstream().data(), dy_.bytes());
  EXPECT_TRUE(request.include_losses());
  EXPECT_EQ(request.min_version(), 7);
  EXPECT_TRUE(request.skip_input_gradient());
  EXPECT_TRUE(request.skip_weight_gradients());
}

TEST_F(TrainingTest, BackwardAnswersGradientsLossesAndTiming) {
  v1::BackwardResponse answer;
  Fill(answer.mutable_input_gradient(), Floats({1}));
  Fill(answer.mutable_weight_gradients()->mutable_kernel(), Floats({2, 3}));
  Fill(answer.mutable_weight_gradients()->mutable_bias(), Floats({4}));
  answer.set_weights_version(5);
  answer.add_losses()->set_value(0.5);
  service().backward.Prepare(answer);

  const auto result = client_.Backward("up", x_, dy_);

  ASSERT_THAT(result, IsOk());
  EXPECT_THAT(ValuesOf(*result->input_gradient), ElementsAre(1));
  EXPECT_THAT(ValuesOf(result->weight_gradients->kernel), ElementsAre(2, 3));
  EXPECT_THAT(ValuesOf(*result->weight_gradients->bias), ElementsAre(4));
  EXPECT_EQ(result->weights_version, 5);
  EXPECT_THAT(result->losses, ElementsAre(Property(&v1::Loss::value, 0.5)));
  EXPECT_EQ(result->timing->compute, std::chrono::microseconds(3));
}

TEST_F(TrainingTest, BackwardAnswersWithoutWhatWasSkipped) {
  const auto result = client_.Backward("up", x_, dy_);
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->input_gradient, std::nullopt);
  EXPECT_EQ(result->weight_gradients, std::nullopt);
}

TEST_F(TrainingTest, NamesTheTensorThatDoesNotFitItsShape) {
  v1::BackwardResponse answer;
  Fill(answer.mutable_weight_gradients()->mutable_kernel(), Floats({2}));
  Fill(answer.mutable_weight_gradients()->mutable_bias(), Floats({2}));
  answer.mutable_weight_gradients()->mutable_bias()->add_shape(2);
  service().backward.Prepare(answer);
  EXPECT_THAT(client_.Backward("up", x_, dy_),
              StatusIs(StatusCode::kInternal,
                       HasSubstr("answer of the server: weight_gradients.bias.data")));
}

TEST_F(TrainingTest, ApplyGradientsSendsTheStep) {
  v1::ApplyGradientsResponse answer;
  answer.set_weights_version(3);
  answer.set_iterations(2);
  answer.set_already_applied(true);
  service().apply_gradients.Prepare(answer);

  const auto result =
      client_.ApplyGradients("up", {.kernel = x_, .bias = dy_},
                             {.if_version = 0, .learning_rate = 0.5, .step_id = "mine"});

  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->weights_version, 3);
  EXPECT_EQ(result->iterations, 2);
  EXPECT_TRUE(result->already_applied);
  const v1::ApplyGradientsRequest request = service().apply_gradients.requests().at(0);
  EXPECT_EQ(request.gradients().kernel().data(), x_.bytes());
  EXPECT_EQ(request.gradients().bias().data(), dy_.bytes());
  EXPECT_TRUE(request.has_if_version());
  EXPECT_EQ(request.if_version(), 0);
  EXPECT_EQ(request.learning_rate(), 0.5);
  EXPECT_EQ(request.step_id(), "mine");
}

TEST_F(TrainingTest, StepsHaveNoVersionAndNoRateOfTheirOwnUnlessGiven) {
  ASSERT_THAT(client_.ApplyGradients("up", {.kernel = x_}), IsOk());
  const v1::ApplyGradientsRequest request = service().apply_gradients.requests().at(0);
  EXPECT_FALSE(request.has_if_version());
  EXPECT_FALSE(request.has_learning_rate());
  EXPECT_FALSE(request.gradients().has_bias());
}

TEST_F(TrainingTest, TrainStepSendsATargetWithItsLoss) {
  v1::TrainStepResponse answer;
  answer.set_weights_version(3);
  answer.set_iterations(2);
  answer.set_loss(0.25);
  answer.add_losses()->set_value(0.5);
  Fill(answer.mutable_output(), Floats({1}));
  Fill(answer.mutable_input_gradient(), Floats({2}));
  service().train_step.Prepare(answer);

  const auto result = client_.TrainStep(
      "up", x_, TrainTarget{.target = dy_, .loss = Object("MeanSquaredError")},
      {.if_version = 2, .learning_rate = 0.5, .step_id = "mine", .return_output = true});

  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->step.weights_version, 3);
  EXPECT_EQ(result->step.iterations, 2);
  EXPECT_FALSE(result->step.already_applied);
  EXPECT_EQ(result->loss, 0.25);
  EXPECT_THAT(result->losses, ElementsAre(Property(&v1::Loss::value, 0.5)));
  EXPECT_THAT(ValuesOf(*result->output), ElementsAre(1));
  EXPECT_THAT(ValuesOf(*result->input_gradient), ElementsAre(2));
  EXPECT_EQ(result->timing->compute, std::chrono::microseconds(3));
  const v1::TrainStepRequest request = service().train_step.requests().at(0);
  EXPECT_EQ(request.name(), "up");
  EXPECT_EQ(request.input().data(), x_.bytes());
  EXPECT_EQ(request.target().data(), dy_.bytes());
  EXPECT_EQ(request.loss().name(), "MeanSquaredError");
  EXPECT_FALSE(request.has_upstream());
  EXPECT_EQ(request.if_version(), 2);
  EXPECT_EQ(request.learning_rate(), 0.5);
  EXPECT_EQ(request.step_id(), "mine");
  EXPECT_TRUE(request.return_output());
  EXPECT_FALSE(request.return_input_gradient());
}

TEST_F(TrainingTest, TrainStepSendsAnUpstreamGradientWithoutALoss) {
  const auto result =
      client_.TrainStep("up", x_, Upstream{.gradient = dy_}, {.return_input_gradient = true});
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->loss, std::nullopt);
  EXPECT_EQ(result->output, std::nullopt);
  const v1::TrainStepRequest request = service().train_step.requests().at(0);
  EXPECT_EQ(request.upstream().data(), dy_.bytes());
  EXPECT_FALSE(request.has_target());
  EXPECT_FALSE(request.has_loss());
  EXPECT_TRUE(request.return_input_gradient());
}

TEST_F(TrainingTest, SetTrainableAnswersTheLayer) {
  v1::SetTrainableResponse answer;
  answer.mutable_layer()->set_name("up");
  service().set_trainable.Prepare(answer);
  EXPECT_THAT(client_.SetTrainable("up", true), IsOkAndHolds(Property(&v1::Layer::name, "up")));
  EXPECT_TRUE(service().set_trainable.requests().at(0).trainable());
}

TEST_F(TrainingTest, AnOptimizerTravelsWithEverySlotBothWays) {
  OptimizerSlots slots;
  slots.momentum = {.kernel = Floats({1}), .bias = Floats({2})};
  slots.velocity = {.kernel = Floats({3})};
  slots.velocity_hat = {.kernel = Floats({4}), .bias = Floats({5})};
  slots.average_gradient = {.kernel = Floats({6}), .bias = Floats({7})};
  ASSERT_THAT(
      client_.SetOptimizer("up", {.definition = Object("Adam"), .iterations = 9, .slots = slots}),
      IsOk());
  const v1::SetOptimizerRequest request = service().set_optimizer.requests().at(0);
  EXPECT_EQ(request.optimizer().name(), "Adam");

  v1::GetOptimizerResponse answer;
  *answer.mutable_optimizer() = request.optimizer();
  answer.set_keras_json("{}");
  answer.set_iterations(request.iterations());
  *answer.mutable_slots() = request.slots();
  answer.set_weights_version(4);
  service().get_optimizer.Prepare(answer);
  const auto status = client_.GetOptimizer("up");

  ASSERT_THAT(status, IsOk());
  EXPECT_EQ(status->optimizer.name(), "Adam");
  EXPECT_EQ(status->keras_json, "{}");
  EXPECT_EQ(status->iterations, 9);
  EXPECT_EQ(status->weights_version, 4);
  EXPECT_THAT(ValuesOf(status->slots.momentum->kernel), ElementsAre(1));
  EXPECT_THAT(ValuesOf(*status->slots.momentum->bias), ElementsAre(2));
  EXPECT_THAT(ValuesOf(status->slots.velocity->kernel), ElementsAre(3));
  EXPECT_EQ(status->slots.velocity->bias, std::nullopt);
  EXPECT_THAT(ValuesOf(*status->slots.velocity_hat->bias), ElementsAre(5));
  EXPECT_THAT(ValuesOf(status->slots.average_gradient->kernel), ElementsAre(6));
}

TEST_F(TrainingTest, AnOptimizerWithoutStateSendsNone) {
  ASSERT_THAT(client_.SetOptimizer("up", {.definition = KerasJson{"{}"}}), IsOk());
  const v1::SetOptimizerRequest request = service().set_optimizer.requests().at(0);
  EXPECT_EQ(request.keras_json(), "{}");
  EXPECT_FALSE(request.has_slots());
  ASSERT_THAT(client_.GetOptimizer("up"), IsOk());
  EXPECT_EQ(client_.GetOptimizer("up")->slots.momentum, std::nullopt);
}

TEST_F(TrainingTest, LetsGoOfTheMemoryOfACallerWhenTheStepIsMade) {
  const std::vector<float> values(1000, 1);
  const auto owner = std::shared_ptr<const void>(values.data(), [](const void*) {});
  const Tensor input =
      *Tensor::FromMemory(v1::DATA_TYPE_FLOAT32, {1000}, std::as_bytes(std::span(values)), owner);
  ASSERT_THAT(client_.TrainStep("up", input, Upstream{dy_}), IsOk());
  EXPECT_EQ(owner.use_count(), 2);
}

// The answers that got lost had made the step.
TEST_F(TrainingTest, AsksAgainForAStepByTheSameName) {
  service().train_step.Prepare({}, /*failures=*/2);
  ASSERT_THAT(client_.TrainStep("up", x_, Upstream{dy_}), IsOk());
  const auto requests = service().train_step.requests();
  ASSERT_THAT(requests, SizeIs(3));
  EXPECT_THAT(requests[0].step_id(), Not(IsEmpty()));
  EXPECT_THAT(requests, Each(Property(&v1::TrainStepRequest::step_id, requests[0].step_id())));
}

TEST_F(TrainingTest, NamesEveryStepDifferently) {
  ASSERT_THAT(client_.ApplyGradients("up", {.kernel = x_}), IsOk());
  ASSERT_THAT(client_.ApplyGradients("up", {.kernel = x_}), IsOk());
  const auto requests = service().apply_gradients.requests();
  EXPECT_NE(requests.at(0).step_id(), requests.at(1).step_id());
}

TEST_F(TrainingTest, RepeatsOnlyWhatCannotActTwice) {
  const auto connection = Connect(server_.target, RepeatingAtOnce());
  const struct {
    const char* what;
    std::function<absl::Status()> call;
    bool is_repeated;
  } kCases[] = {
      {"Backward", [&] { return client_.Backward("up", x_, dy_).status(); }, true},
      {"ApplyGradients", [&] { return client_.ApplyGradients("up", {.kernel = x_}).status(); },
       true},
      {"ApplyGradients without a name",
       [&] { return connection->ApplyGradients("up", {.kernel = x_}, {}).status(); }, false},
      {"TrainStep", [&] { return client_.TrainStep("up", x_, Upstream{dy_}).status(); }, true},
      {"TrainStep without a name",
       [&] { return connection->TrainStep("up", x_, Upstream{dy_}, {}).status(); }, false},
      {"SetTrainable", [&] { return client_.SetTrainable("up", false).status(); }, true},
      {"GetOptimizer", [&] { return client_.GetOptimizer("up").status(); }, true},
      {"SetOptimizer",
       [&] { return client_.SetOptimizer("up", {.definition = Object("SGD")}).status(); }, false},
  };
  for (const auto& test : kCases) {
    service().backward.Prepare({}, 1);
    service().apply_gradients.Prepare({}, 1);
    service().train_step.Prepare({}, 1);
    service().set_trainable.Prepare({}, 1);
    service().get_optimizer.Prepare({}, 1);
    service().set_optimizer.Prepare({}, 1);
    EXPECT_EQ(test.call().code(), test.is_repeated ? StatusCode::kOk : StatusCode::kUnavailable)
        << test.what;
  }
}

}  // namespace
}  // namespace tconv
