#include "server/layer/optimizer.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "server/layer/signature.h"
#include "tests/support/layer_config_builder.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/layer/tensor_views.h"

namespace tconv::server {
namespace {

using ::tconv::testing::IsOk;
using ::tconv::testing::LayerConfigBuilder;
using ::tconv::testing::StatusIs;
using ::testing::DoubleNear;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsNan;
using ::testing::Pointwise;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
// As Keras keeps it.
const double kRate = static_cast<double>(0.1f);

using Values = std::vector<double>;

Optimizer Make(const ObjectSpec& spec) {
  StatusOr<Optimizer> optimizer = Optimizer::Make(spec);
  EXPECT_THAT(optimizer, IsOk()) << spec.name;
  return *std::move(optimizer);
}

Tensor MakeTensor(Values values, DType dtype, const Shape& shape) {
  return Tensor::Converted(AsTensor(shape, values), dtype).value();
}

Tensor MakeKernel(const Values& values, DType dtype = DType::kFloat64) {
  return MakeTensor(values, dtype, {1, 1, 1, std::ssize(values)});
}

Tensor MakeBias(const Values& values, DType dtype = DType::kFloat64) {
  return MakeTensor(values, dtype, {std::ssize(values)});
}

Values ValuesOf(const Tensor& tensor) {
  const Tensor wide = Tensor::Converted(tensor.view(), DType::kFloat64).value();
  const auto values = wide.view().values<double>();
  return {values.begin(), values.end()};
}

// A kernel of some elements and a bias of one, and an optimizer that trains them.
class Training {
 public:
  explicit Training(const ObjectSpec& spec, DType dtype = DType::kFloat64)
      : optimizer_(Make(spec)), dtype_(dtype) {
    SetKernel({1, -2});
    weights_.bias = MakeBias({0.5}, dtype);
  }

  void SetKernel(const Values& values) { weights_.kernel = MakeKernel(values, dtype_); }
  void SetConfig(LayerConfig config) { config_ = std::move(config); }
  void DropBias() { weights_.bias.reset(); }

  void Step(const Values& kernel_gradient, double bias_gradient = 12,
            std::optional<double> learning_rate = std::nullopt) {
    WeightTensors gradients{MakeKernel(kernel_gradient, dtype_), std::nullopt};
    if (weights_.bias.has_value()) gradients.bias = MakeBias({bias_gradient}, dtype_);
    ASSERT_THAT(optimizer_.CheckState(state_, weights_), IsOk());
    ASSERT_THAT(optimizer_.Step(config_, std::move(gradients), learning_rate, weights_, state_),
                IsOk());
  }

  Values kernel() const { return ValuesOf(weights_.kernel); }
  double bias() const { return ValuesOf(*weights_.bias)[0]; }
  Values slot(OptimizerSlot kind) const { return ValuesOf(state_.slots.at(kind).kernel); }
  const OptimizerState& state() const { return state_; }

 private:
  const Optimizer optimizer_;
  const DType dtype_;
  LayerConfig config_ = LayerConfigBuilder().Build();
  Weights weights_;
  OptimizerState state_;
};

TEST(OptimizerTest, ClipsAndDecaysBeforeTheRule) {
  const double r = kRate;
  struct Case {
    const char* what;
    std::map<std::string, ArgumentValue> arguments;
    Values kernel;
    double bias;
  } const kCases[] = {
      // The gradients have the norms 5 and 12, together 13.
      {"plain", {}, {1 - 3 * r, -2 - 4 * r}, 0.5 - 12 * r},
      {"norm", {{"clipnorm", 1.0}}, {1 - 0.6 * r, -2 - 0.8 * r}, 0.5 - r},
      {"norm of one", {{"clipnorm", 6.0}}, {1 - 3 * r, -2 - 4 * r}, 0.5 - 6 * r},
      {"norm of 0", {{"clipnorm", 0.0}}, {1 - 3 * r, -2 - 4 * r}, 0.5 - 12 * r},
      {"global", {{"global_clipnorm", 1.3}}, {1 - 0.3 * r, -2 - 0.4 * r}, 0.5 - 1.2 * r},
      {"wide global", {{"global_clipnorm", 26.0}}, {1 - 3 * r, -2 - 4 * r}, 0.5 - 12 * r},
      {"value", {{"clipvalue", 3.5}}, {1 - 3 * r, -2 - 3.5 * r}, 0.5 - 3.5 * r},
      {"decay",
       {{"weight_decay", 0.5}},
       {1 - 0.5 * r - 3 * r, -2 + r - 4 * r},
       0.5 - 0.25 * r - 12 * r},
  };
  for (const Case& c : kCases) {
    ObjectSpec spec{"SGD", c.arguments};
    spec.arguments["learning_rate"] = 0.1;
    Training training(spec);
    training.Step({3, 4});
    EXPECT_THAT(training.kernel(), Pointwise(DoubleNear(1e-14), c.kernel)) << c.what;
    EXPECT_NEAR(training.bias(), c.bias, 1e-14) << c.what;
  }
}

TEST(OptimizerTest, ClipsBelowFromBelow) {
  Training training({"SGD", {{"learning_rate", 1.0}, {"clipvalue", 2.0}}});
  training.Step({-3, 1});
  EXPECT_THAT(training.kernel(), ElementsAre(3, -3));
}

TEST(OptimizerTest, SmoothsTheStepsOfSgdByMomentum) {
  const double r = kRate;
  Training plain({"SGD", {{"learning_rate", 0.1}, {"momentum", 0.5}}});
  plain.Step({2, 0});
  plain.Step({2, 0});
  EXPECT_THAT(plain.kernel(), Pointwise(DoubleNear(1e-14), Values{1 - 2 * r - 3 * r, -2}));
  EXPECT_THAT(plain.slot(OptimizerSlot::kMomentum), Pointwise(DoubleNear(1e-14), {-3 * r, 0.0}));

  Training nesterov({"SGD", {{"learning_rate", 0.1}, {"momentum", 0.5}, {"nesterov", true}}});
  nesterov.Step({2, 0});
  nesterov.Step({2, 0});
  EXPECT_THAT(nesterov.kernel(), Pointwise(DoubleNear(1e-14), {1 - 3 * r - 3.5 * r, -2.0}));
}

TEST(OptimizerTest, IgnoresNesterovWithoutMomentum) {
  Training training({"sgd", {{"learning_rate", 1.0}, {"nesterov", true}}});
  training.Step({2, 0});
  EXPECT_THAT(training.kernel(), ElementsAre(-1, -2));
  EXPECT_THAT(training.state().slots, IsEmpty());
}

TEST(OptimizerTest, AddsTheEpsilonOfAdamToTheUncorrectedRoot) {
  Training training({"Adam", {{"learning_rate", 1.0}}});
  training.Step({1e-5, 0});
  const double alpha = std::sqrt(1 - 0.999) / (1 - 0.9);
  const double step = alpha * 1e-6 / (std::sqrt(1e-13) + 1e-7);
  EXPECT_NEAR(training.kernel()[0], 1 - step, 1e-12);
  EXPECT_EQ(training.kernel()[1], -2);
}

TEST(OptimizerTest, CorrectsTheBiasOfAdamByTheIteration) {
  // Without epsilon, equal gradients make steps of the learning rate.
  Training training({"adam", {{"learning_rate", 0.5}, {"epsilon", 0.0}}});
  for (int step = 1; step <= 3; ++step) {
    training.Step({7, -3});
    EXPECT_THAT(training.kernel(),
                Pointwise(DoubleNear(1e-12), Values{1 - 0.5 * step, -2 + 0.5 * step}));
  }
  EXPECT_EQ(training.state().iterations, 3);
}

TEST(OptimizerTest, KeepsTheGreatestVelocityWithAmsgrad) {
  Training training({"Adam", {{"amsgrad", true}}});
  training.Step({2, 0});
  training.Step({0, 1});
  const double first = (1 - 0.999) * 4;
  EXPECT_THAT(training.slot(OptimizerSlot::kVelocity),
              Pointwise(DoubleNear(1e-15), Values{first * 0.999, 0.001}));
  EXPECT_THAT(training.slot(OptimizerSlot::kVelocityHat),
              Pointwise(DoubleNear(1e-15), Values{first, 0.001}));
}

TEST(OptimizerTest, DecaysWeightsByDefaultInAdamW) {
  Training training({"AdamW", {{"learning_rate", 0.5}, {"epsilon", 0.0}}});
  training.Step({7, -3});
  EXPECT_THAT(training.kernel(), Pointwise(DoubleNear(1e-12), {1 * 0.998 - 0.5, -2 * 0.998 + 0.5}));
}

TEST(OptimizerTest, AddsTheEpsilonOfRmspropInsideTheRoot) {
  Training training({"RMSprop", {{"learning_rate", 1.0}}});
  training.Step({1e-4, 0});
  EXPECT_NEAR(training.kernel()[0], 1 - 1e-4 / std::sqrt(0.1 * 1e-8 + 1e-7), 1e-12);
}

TEST(OptimizerTest, SmoothsAndCentersTheStepsOfRmsprop) {
  const std::map<std::string, ArgumentValue> base = {{"learning_rate", 0.5}, {"rho", 0.5}};
  const double eps = 1e-7;
  const double v1 = 0.5 * 4;
  const double v2 = 0.5 * v1 + 0.5 * 4;
  const double a1 = 0.5 * 2;
  const double a2 = 0.5 * a1 + 0.5 * 2;
  const double plain[] = {1 / std::sqrt(v1 + eps), 1 / std::sqrt(v2 + eps)};
  const double centered[] = {1 / std::sqrt(v1 - a1 * a1 + eps), 1 / std::sqrt(v2 - a2 * a2 + eps)};
  struct Case {
    double momentum;
    bool is_centered;
    double change;
  } const kCases[] = {
      {0, false, plain[0] + plain[1]},
      {0, true, centered[0] + centered[1]},
      {0.5, false, 1.5 * plain[0] + plain[1]},
      {0.5, true, 1.5 * centered[0] + centered[1]},
  };
  for (const Case& c : kCases) {
    ObjectSpec spec{"rmsprop", base};
    spec.arguments["momentum"] = c.momentum;
    spec.arguments["centered"] = c.is_centered;
    Training training(spec);
    training.Step({2, 0});
    training.Step({2, 0});
    EXPECT_NEAR(training.kernel()[0], 1 - c.change, 1e-12) << c.momentum << c.is_centered;
    EXPECT_EQ(training.state().slots.size(), 1U + (c.momentum > 0) + c.is_centered);
  }
}

TEST(OptimizerTest, ProjectsAfterTheUpdate) {
  Training training({"SGD", {{"learning_rate", 1.0}}});
  LayerConfig config = LayerConfigBuilder().Build();
  config.kernel_constraint = Constraint::Make({"NonNeg", {}}).value();
  training.SetConfig(std::move(config));
  training.Step({3, -5}, 12);
  EXPECT_THAT(training.kernel(), ElementsAre(0, 3));
  EXPECT_EQ(training.bias(), -11.5);
}

TEST(OptimizerTest, TakesAnotherLearningRateForOneStep) {
  Training training({"SGD", {{"learning_rate", 1.0}, {"weight_decay", 0.5}}});
  training.Step({1, 0}, 0, 0.5);
  EXPECT_THAT(training.kernel(), ElementsAre(1 - 0.25 - 0.5, -1.5));
  training.SetKernel({1, 0});
  training.Step({1, 0}, 0);
  EXPECT_THAT(training.kernel(), ElementsAre(1 - 0.5 - 1, 0));
}

TEST(OptimizerTest, TrainsALayerWithoutBias) {
  for (const char* name : {"SGD", "Adam", "AdamW", "RMSprop"}) {
    Training training({name, {{"global_clipnorm", 1.0}}});
    training.DropBias();
    training.Step({3, 4});
    EXPECT_LT(training.kernel()[0], 1) << name;
  }
}

TEST(OptimizerTest, LetsNaNAndInfinityThrough) {
  struct Case {
    const char* clipping;
    double gradient;
    bool spoils_kernel;  // all of it
    bool spoils_bias;
  } const kCases[] = {
      {nullptr, kNaN, false, false},         {"clipvalue", kNaN, false, false},
      {"clipnorm", kNaN, true, false},       {"global_clipnorm", kNaN, true, true},
      {"global_clipnorm", kInf, true, true}, {"clipnorm", kInf, false, false},
  };
  for (const Case& c : kCases) {
    ObjectSpec spec{"SGD", {}};
    if (c.clipping != nullptr) spec.arguments[c.clipping] = 1.0;
    for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
      Training training(spec, dtype);
      training.Step({c.gradient, 1});
      EXPECT_THAT(training.kernel()[0], IsNan()) << spec.arguments.size();
      EXPECT_EQ(std::isnan(training.kernel()[1]), c.spoils_kernel) << c.gradient;
      EXPECT_EQ(std::isnan(training.bias()), c.spoils_bias) << c.gradient;
    }
  }
  Training amsgrad({"Adam", {{"amsgrad", true}}});
  amsgrad.Step({kNaN, 1});
  EXPECT_THAT(amsgrad.slot(OptimizerSlot::kVelocityHat), ElementsAre(IsNan(), 1 - 0.999));
}

TEST(OptimizerTest, ComputesInTheTypeOfTheWeights) {
  const ObjectSpec spec = {"SGD", {{"learning_rate", 1.0}, {"momentum", 0.9}}};
  Training wide(spec);
  wide.Step({1e-12, 0});
  EXPECT_EQ(wide.kernel()[0], 1 - 1e-12);

  Training narrow(spec, DType::kFloat32);
  narrow.Step({1e-12, 0});
  EXPECT_EQ(narrow.kernel()[0], 1);
}

TEST(OptimizerTest, RoundsWeightsOf16BitsOnce) {
  for (const DType dtype : {DType::kBFloat16, DType::kFloat16}) {
    // Decay and gradient alone are less than half of what separates 1 from its
    // neighbour; together they are more.
    const double step = dtype == DType::kBFloat16 ? 0x1p-8 : 0x1p-11;
    Training training(
        {"SGD", {{"learning_rate", 0.75}, {"weight_decay", step * 0.6}, {"momentum", 0.5}}}, dtype);
    training.Step({step * 0.6, 0});
    EXPECT_EQ(training.kernel()[0], 1 - step) << NameOf(dtype);
    EXPECT_EQ(training.state().slots.at(OptimizerSlot::kMomentum).kernel.dtype(), dtype);
    EXPECT_EQ(training.slot(OptimizerSlot::kMomentum)[0],
              RoundTo(dtype, -0.75 * RoundTo(dtype, step * 0.6)));
  }
}

TEST(OptimizerTest, StepsKernelsOfAnySize) {
  // Around the width of vectors.
  for (size_t size = 0; size <= 20; ++size) {
    for (const char* name : {"SGD", "Adam", "RMSprop"}) {
      Training training({name, {{"learning_rate", 1.0}, {"clipnorm", 1.0}}}, DType::kFloat32);
      training.SetKernel(Values(size, 1));
      training.Step(Values(size, 2));
      const Values kernel = training.kernel();
      ASSERT_EQ(kernel.size(), size);
      EXPECT_THAT(kernel, Each(::testing::Lt(1))) << name << " " << size;
      EXPECT_THAT(kernel, Each(size == 0 ? 0 : kernel[0])) << name << " " << size;
    }
  }
}

TEST(OptimizerTest, PrintsItsClassWithEveryArgument) {
  const Optimizer sgd = Make({"sgd", {{"name", std::string("mine")}, {"use_ema", false}}});
  EXPECT_EQ(sgd.spec(), (ObjectSpec{"SGD",
                                    {{"learning_rate", 0.01},
                                     {"weight_decay", kNull},
                                     {"clipnorm", kNull},
                                     {"global_clipnorm", kNull},
                                     {"clipvalue", kNull},
                                     {"momentum", 0.0},
                                     {"nesterov", false}}}));
  EXPECT_EQ(Make({"adamw", {}}).spec().arguments.at("weight_decay"), ArgumentValue(0.004));
  EXPECT_EQ(Make({"SGD", {}}), sgd);
  EXPECT_FALSE(Make({"SGD", {{"momentum", 0.5}}}) == sgd);
}

TEST(OptimizerTest, RefusesWhatItCannotDo) {
  struct Case {
    ObjectSpec spec;
    const char* message;
  } const kCases[] = {
      {{"Nadam", {}}, "name: expected an optimizer (SGD, Adam, AdamW, RMSprop), got \"Nadam\""},
      {{"SGD", {{"beta_1", 0.5}}}, "arguments.beta_1: SGD has no such argument"},
      {{"SGD", {{"learning_rate", -0.1}}}, "arguments.learning_rate: expected a number >= 0"},
      {{"SGD", {{"learning_rate", std::string("0.1")}}}, "schedules are not supported, got"},
      {{"SGD", {{"momentum", 1.5}}}, "arguments.momentum: expected a number from 0 to 1, got 1.5"},
      {{"Adam", {{"beta_1", -0.1}}}, "arguments.beta_1: expected a number from 0 to 1"},
      {{"Adam", {{"amsgrad", 1.0}}}, "arguments.amsgrad: expected a boolean, got 1"},
      {{"AdamW", {{"weight_decay", kNull}}}, "arguments.weight_decay: expected a number >= 0"},
      {{"RMSprop", {{"epsilon", kInf}}}, "arguments.epsilon: expected a number >= 0"},
      {{"SGD", {{"clipnorm", 1.0}, {"clipvalue", 1.0}}},
       "arguments.clipvalue: expected null beside clipnorm"},
      {{"SGD", {{"global_clipnorm", 0.0}, {"clipnorm", 0.0}}},
       "arguments.global_clipnorm: expected null beside clipnorm"},
      {{"SGD", {{"use_ema", true}}}, "arguments.use_ema: expected false: averages of weights"},
      {{"SGD", {{"ema_momentum", 0.9}}}, "arguments.ema_momentum: expected 0.99"},
      {{"SGD", {{"ema_overwrite_frequency", 5.0}}}, "arguments.ema_overwrite_frequency: "},
      {{"SGD", {{"loss_scale_factor", 2.0}}}, "arguments.loss_scale_factor: expected null"},
      {{"SGD", {{"gradient_accumulation_steps", 4.0}}},
       "arguments.gradient_accumulation_steps: expected null"},
  };
  for (const Case& c : kCases) {
    EXPECT_THAT(Optimizer::Make(c.spec),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr(c.message)));
  }
}

class OptimizerStateTest : public ::testing::Test {
 protected:
  OptimizerStateTest() {
    weights_.kernel = MakeKernel({1, 2});
    weights_.bias = MakeBias({3});
  }

  WeightTensors Slot() { return {MakeKernel({5, 6}), MakeBias({7})}; }

  OptimizerState AdamState() {
    OptimizerState state{.iterations = 4, .slots = {}};
    state.slots[OptimizerSlot::kMomentum] = Slot();
    state.slots[OptimizerSlot::kVelocity] = Slot();
    return state;
  }

  void ExpectRefused(const OptimizerState& state, const char* message) {
    EXPECT_THAT(adam_.CheckState(state, weights_),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr(message)));
  }

  const Optimizer adam_ = Make({"Adam", {}});
  Weights weights_;
};

TEST_F(OptimizerStateTest, FitsWhenItHasWhatTheOptimizerUses) {
  EXPECT_THAT(adam_.CheckState({}, weights_), IsOk());
  EXPECT_THAT(adam_.CheckState({.iterations = 9, .slots = {}}, weights_), IsOk());
  EXPECT_THAT(adam_.CheckState(AdamState(), weights_), IsOk());
}

TEST_F(OptimizerStateTest, IsRefusedWhenItIsOfAnotherOptimizerOrLayer) {
  ExpectRefused({.iterations = -1, .slots = {}}, "iterations: expected 0 to 2^53 - 1, got -1");
  ExpectRefused({.iterations = int64_t{1} << 53, .slots = {}}, "iterations: ");

  OptimizerState state = AdamState();
  state.slots.erase(OptimizerSlot::kVelocity);
  ExpectRefused(state, "slots.velocity: expected tensors, got nothing");

  state = AdamState();
  state.slots[OptimizerSlot::kAverageGradient] = Slot();
  ExpectRefused(state, "slots.average_gradient: expected nothing: Adam");

  state = AdamState();
  state.slots[OptimizerSlot::kMomentum].kernel = MakeKernel({1, 2, 3});
  ExpectRefused(state, "slots.momentum.kernel: expected float64 [1, 1, 1, 2], got float64 [1, 1,");

  state = AdamState();
  state.slots[OptimizerSlot::kVelocity].bias = MakeBias({1}, DType::kFloat32);
  ExpectRefused(state, "slots.velocity.bias: expected float64 [1], got float32 [1]");

  state = AdamState();
  state.slots[OptimizerSlot::kVelocity].bias.reset();
  ExpectRefused(state, "slots.velocity.bias: expected a tensor");

  state = AdamState();
  weights_.bias.reset();
  ExpectRefused(state, "slots.momentum.bias: expected nothing");
}

TEST_F(OptimizerStateTest, IsAdoptedInTheTypeOfTheWeights) {
  OptimizerState state = AdamState();
  state.slots[OptimizerSlot::kMomentum].kernel = MakeKernel({1.5, 2.5}, DType::kBFloat16);
  StatusOr<OptimizerState> adopted = adam_.AdoptState(std::move(state), weights_);
  ASSERT_THAT(adopted, IsOk());
  EXPECT_EQ(adopted->iterations, 4);
  const Tensor& momentum = adopted->slots.at(OptimizerSlot::kMomentum).kernel;
  EXPECT_EQ(momentum.dtype(), DType::kFloat64);
  EXPECT_THAT(ValuesOf(momentum), ElementsAre(1.5, 2.5));
  EXPECT_THAT(adam_.AdoptState({.iterations = -1, .slots = {}}, weights_),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("iterations")));
}

}  // namespace
}  // namespace tconv::server
