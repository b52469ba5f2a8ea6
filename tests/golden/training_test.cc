// Gradients and optimizers as Keras has recorded them, through a real client against a
// real server over a socket.

#include <gtest/gtest.h>
#include <tconv/client.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/golden/expect_close.h"
#include "tests/golden/golden_case.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_server.h"

namespace tconv::testing {
namespace {

using ::testing::TestWithParam;
using ::testing::ValuesIn;

std::string TestName(const ::testing::TestParamInfo<GoldenCase>& info) {
  return TestNameOf(info.param);
}

class GoldenTrainingTest : public TestWithParam<GoldenCase> {
 protected:
  static void SetUpTestSuite() { server_ = TestServer::Start(); }
  static void TearDownTestSuite() { server_.reset(); }

  // A layer with the recorded weights, under a name that no other test uses.
  void SetUp() override {
    name_ = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    for (char& c : name_) c = c == '/' ? ' ' : c;
    ASSERT_THAT(client_.Create({.name = name_,
                                .definition = KerasJson{golden().SerializedLayer()},
                                .weights = golden().RecordedWeights()}),
                IsOk());
  }

  const GoldenCase& golden() const { return GetParam(); }
  Tensor input() const { return golden().Array("input"); }
  Tensor upstream() const { return golden().Array("upstream"); }

  void ExpectClose(const Weights& actual, const std::string& kernel, const std::string& bias,
                   const nlohmann::json& tolerance) const {
    testing::ExpectClose(actual.kernel, golden(), kernel, tolerance);
    ASSERT_EQ(actual.bias.has_value(), golden().HasArray(bias));
    if (actual.bias) testing::ExpectClose(*actual.bias, golden(), bias, tolerance);
  }

  template <typename Losses>
  static void ExpectLosses(const Losses& losses, const nlohmann::json& expected) {
    ASSERT_EQ(static_cast<size_t>(losses.size()), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      const double value = expected[i];
      EXPECT_NEAR(losses[i].value(), value, 1e-6 + 1e-4 * std::abs(value)) << i;
    }
  }

  static std::unique_ptr<TestServer> server_;
  const Client client_{server_->target()};
  std::string name_;
};

std::unique_ptr<TestServer> GoldenTrainingTest::server_;

class GoldenGradientTest : public GoldenTrainingTest {};

TEST_P(GoldenGradientTest, GradientsAreThoseOfKeras) {
  const auto result = client_.Backward(name_, input(), upstream());
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->weights_version, 1);
  EXPECT_TRUE(result->losses.empty());
  const auto& tolerance = golden().expect.at("gradient").at("tolerance");
  testing::ExpectClose(*result->input_gradient, golden(), "dinput", tolerance);
  ExpectClose(*result->weight_gradients, "dkernel", "dbias", tolerance);
}

TEST_P(GoldenGradientTest, GradientsOfTheLossesAreThoseOfKeras) {
  const auto result = client_.Backward(name_, input(), upstream(), {.include_losses = true});
  ASSERT_THAT(result, IsOk());
  ExpectLosses(result->losses, golden().expect.at("losses"));
  // Recorded where there are losses.
  const std::string suffix = golden().HasArray("dkernel_total") ? "_total" : "";
  EXPECT_EQ(suffix.empty(), golden().expect.at("losses").empty());
  const auto& tolerance =
      golden().expect.at(suffix.empty() ? "gradient" : "gradient_total").at("tolerance");
  testing::ExpectClose(*result->input_gradient, golden(), "dinput" + suffix, tolerance);
  ExpectClose(*result->weight_gradients, "dkernel" + suffix, "dbias" + suffix, tolerance);
}

INSTANTIATE_TEST_SUITE_P(All, GoldenGradientTest, ValuesIn(CasesOfKinds({"gradient"})), TestName);

class GoldenOptimizerTest : public GoldenTrainingTest {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(GoldenTrainingTest::SetUp());
    std::ifstream file(golden().directory + "/optimizer.json");
    optimizer_ = nlohmann::json::parse(file);
    ASSERT_THAT(client_.SetOptimizer(name_, {.definition = KerasJson{optimizer_.dump()}}), IsOk());
  }

  const nlohmann::json& training() const { return golden().expect.at("training"); }

  // What the weights before a step made of the recorded input: the sum of upstream *
  // output, and the losses of the layer.
  double Objective(const TrainStepResult& result) const {
    const std::vector<double> output = ToDoubles(*result.output);
    const std::vector<double> weights = ToDoubles(upstream());
    double sum = std::inner_product(output.begin(), output.end(), weights.begin(), 0.0);
    for (const v1::Loss& loss : result.losses) sum += loss.value();
    return sum;
  }

  // What remains after the last step. The weights of earlier steps were recorded as they
  // were after the last one; their objectives tell them apart.
  void ExpectFinalState() const {
    const auto steps = static_cast<int64_t>(training().at("steps").size());
    const auto stored = client_.GetWeights(name_);
    ASSERT_THAT(stored, IsOk());
    EXPECT_EQ(stored->version, 1 + steps);
    const std::string suffix = "_step" + std::to_string(steps);
    ExpectClose(stored->weights, "kernel" + suffix, "bias" + suffix, training().at("tolerance"));

    const auto output = client_.Forward(name_, input());
    ASSERT_THAT(output, IsOk());
    testing::ExpectClose(output->output, golden(), "output_final", training().at("tolerance"));

    const auto status = client_.GetOptimizer(name_);
    ASSERT_THAT(status, IsOk());
    EXPECT_EQ(status->weights_version, output->weights_version);
    const auto told = nlohmann::json::parse(status->keras_json);
    EXPECT_EQ(told.at("class_name"), optimizer_.at("class_name"));
    for (const auto& [key, value] : told.at("config").items()) {
      EXPECT_EQ(value, optimizer_.at("config").at(key)) << key;
    }
    size_t slots = 0;
    for (const auto& slot : training().at("slots_after")) {
      const std::string path = slot.at("path");
      if (path.ends_with("/iteration")) {
        EXPECT_EQ(status->iterations, slot.at("value"));
      } else if (slot.contains("array")) {
        ExpectSlot(status->slots, path, slot.at("array"));
        ++slots;
      }
    }
    EXPECT_EQ(slots, CountTensors(status->slots));
  }

  nlohmann::json optimizer_;

 private:
  static constexpr std::pair<const char*, std::optional<Weights> OptimizerSlots::*> kKinds[] = {
      {"_momentum", &OptimizerSlots::momentum},
      {"_velocity", &OptimizerSlots::velocity},
      {"_velocity_hat", &OptimizerSlots::velocity_hat},
      {"_average_gradient", &OptimizerSlots::average_gradient}};

  // `path` ends with "kernel_momentum", "bias_velocity_hat", ...
  void ExpectSlot(const OptimizerSlots& slots, const std::string& path,
                  const std::string& array) const {
    for (const auto& [suffix, kind] : kKinds) {
      for (const bool is_kernel : {true, false}) {
        if (!path.ends_with((is_kernel ? "_kernel" : "_bias") + std::string(suffix))) continue;
        ASSERT_TRUE((slots.*kind).has_value()) << path;
        const Weights& tensors = *(slots.*kind);
        return testing::ExpectClose(is_kernel ? tensors.kernel : *tensors.bias, golden(), array,
                                    training().at("tolerance"));
      }
    }
    ADD_FAILURE() << "unknown slot " << path;
  }

  static size_t CountTensors(const OptimizerSlots& slots) {
    size_t count = 0;
    for (const auto& [suffix, kind] : kKinds) {
      if ((slots.*kind).has_value()) count += (slots.*kind)->bias.has_value() ? 2 : 1;
    }
    return count;
  }
};

TEST_P(GoldenOptimizerTest, TrainStepsAreThoseOfKeras) {
  for (const auto& recorded : training().at("steps")) {
    const int64_t step = recorded.at("step");
    const auto result =
        client_.TrainStep(name_, input(), Upstream{upstream()}, {.return_output = true});
    ASSERT_THAT(result, IsOk());
    const double objective = recorded.at("objective_before");
    EXPECT_NEAR(Objective(*result), objective, 1e-4 + 1e-4 * std::abs(objective)) << step;
    EXPECT_EQ(result->step.weights_version, 1 + step);
    EXPECT_EQ(result->step.iterations, step);
    EXPECT_FALSE(result->step.already_applied);
    ExpectLosses(result->losses, recorded.at("losses_before"));
  }
  ExpectFinalState();
}

TEST_P(GoldenOptimizerTest, BackwardAndApplyGradientsDoTheSame) {
  for (const auto& recorded : training().at("steps")) {
    const int64_t step = recorded.at("step");
    auto gradients = client_.Backward(name_, input(), upstream(), {.include_losses = true});
    ASSERT_THAT(gradients, IsOk());
    ExpectLosses(gradients->losses, recorded.at("losses_before"));
    const auto result = client_.ApplyGradients(name_, *std::move(gradients->weight_gradients),
                                               {.if_version = gradients->weights_version});
    ASSERT_THAT(result, IsOk());
    EXPECT_EQ(result->iterations, step);
  }
  ExpectFinalState();
}

INSTANTIATE_TEST_SUITE_P(All, GoldenOptimizerTest, ValuesIn(CasesOfKinds({"optimizer"})), TestName);

}  // namespace
}  // namespace tconv::testing
