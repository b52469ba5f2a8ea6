// Every recorded case of Keras, through a real client against a real server
// over a socket: once with the strategy that the planner chooses, and once with
// each strategy forced.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <tuple>
#include <vector>

#include "server/compute/strategies.h"
#include "server/layer/constraint.h"
#include "server/layer/geometry.h"
#include "server/wire/keras_json.h"
#include "server/wire/layer_codec.h"
#include "tests/golden/expect_close.h"
#include "tests/golden/golden_case.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_server.h"

namespace tconv::testing {
namespace {

using ::testing::AnyOf;
using ::testing::Combine;
using ::testing::Eq;
using ::testing::TestWithParam;
using ::testing::Values;
using ::testing::ValuesIn;

constexpr char kPlanned[] = "";

const std::vector<std::unique_ptr<const server::Strategy>>& Strategies() {
  static auto& pool = *server::WorkerPool::Make(1).value().release();
  static const auto& strategies = *new std::vector<std::unique_ptr<const server::Strategy>>(
      server::MakeStrategies(pool).value());
  return strategies;
}

// As planned, and with each strategy forced.
std::vector<std::string> AllChoices() {
  std::vector<std::string> choices = {kPlanned};
  for (const auto& strategy : Strategies()) choices.emplace_back(strategy->name());
  return choices;
}

std::vector<GoldenCase> ForwardCases() {
  return CasesOfKinds(
      {"forward", "activation", "dtype", "realworld", "losses", "constraint", "keras2_config"});
}

// What the strategy itself says of a forward pass.
bool Supports(const server::Strategy& strategy, const GoldenCase& golden) {
  const auto parsed = server::ParseKerasJson(golden.SerializedLayer()).value();
  const auto config = server::LayerConfigFromProto(parsed.config).value();
  const auto input = server::Shape::Make(ToShape(golden.expect.at("input_shape"))).value();
  const auto built_for = ToShape(golden.expect.at("build_input_shape"));
  const int64_t channels = server::InputChannels(config, built_for).value();
  return strategy.Supports(server::MakeDeconvProblem(config, channels, input).value()).ok();
}

// Which cases passed, by strategy and kind; printed when all is done.
class Summary : public ::testing::Environment {
 public:
  static void Record(const std::string& strategy, const GoldenCase& golden, bool passed) {
    auto& cases = results()[{strategy.empty() ? "planned" : strategy, golden.kind}];
    const auto entry = cases.emplace(golden.id, passed).first;
    entry->second = entry->second && passed;
  }

  void TearDown() override {
    for (const auto& [key, cases] : results()) {
      const auto passed =
          std::count_if(cases.begin(), cases.end(), [](const auto& entry) { return entry.second; });
      std::printf("golden %-13s %-14s %3ld of %3zu cases passed\n", key.first.c_str(),
                  key.second.c_str(), static_cast<long>(passed), cases.size());
    }
  }

 private:
  using Results = std::map<std::pair<std::string, std::string>, std::map<std::string, bool>>;
  static Results& results() {
    static auto& results = *new Results;
    return results;
  }
};

const auto* const kSummary = ::testing::AddGlobalTestEnvironment(new Summary);

class GoldenTest : public TestWithParam<std::tuple<std::string, GoldenCase>> {
 protected:
  // One server for each strategy, shared by all cases: starting one per case
  // would dominate the run.
  static void SetUpTestSuite() {
    servers_ = new std::map<std::string, std::unique_ptr<TestServer>>;
  }
  static void TearDownTestSuite() { delete servers_; }

  void SetUp() override {
    auto& server = (*servers_)[strategy()];
    if (server == nullptr) {
      server::ServerOptions options;
      options.strategy = strategy();
      server = TestServer::Start(options);
    }
    client_ = std::make_unique<Client>(server->target());
  }
  void TearDown() override { Summary::Record(strategy(), golden(), !HasFailure()); }

  const std::string& strategy() const { return std::get<0>(GetParam()); }
  const GoldenCase& golden() const { return std::get<1>(GetParam()); }
  const Client& client() const { return *client_; }

  void ExpectClose(const Tensor& actual, const std::string& recorded) const {
    testing::ExpectClose(actual, golden(), recorded, golden().expect.at("tolerance"));
  }

 private:
  static std::map<std::string, std::unique_ptr<TestServer>>* servers_;
  std::unique_ptr<Client> client_;
};

std::map<std::string, std::unique_ptr<TestServer>>* GoldenTest::servers_ = nullptr;

std::string TestName(const ::testing::TestParamInfo<std::tuple<std::string, GoldenCase>>& info) {
  const auto& [strategy, golden] = info.param;
  return (strategy.empty() ? "planned" : strategy) + "_" + TestNameOf(golden);
}

// Kinds that are a forward pass with known weights, whatever else they record.
class GoldenForwardTest : public GoldenTest {
 protected:
  // What a forced strategy does not compute, it has to refuse. An empty batch
  // is answered before a strategy is asked.
  bool IsTaken() const {
    if (golden().expect.at("input_shape")[0] == 0) return true;
    return std::ranges::none_of(Strategies(), [&](const auto& forced) {
      return forced->name() == strategy() && !Supports(*forced, golden());
    });
  }
};

TEST(GoldenStrategiesTest, EveryStrategyTakesSomeCases) {
  const std::vector<GoldenCase> cases = ForwardCases();
  for (const auto& strategy : Strategies()) {
    EXPECT_TRUE(std::ranges::any_of(cases, [&](const GoldenCase& golden) {
      return Supports(*strategy, golden);
    })) << strategy->name();
  }
}

TEST_P(GoldenForwardTest, AnswersWhatKerasAnswered) {
  const auto& expect = golden().expect;
  const std::string& id = golden().id;
  NewLayer draft{
      id, KerasJson{golden().SerializedLayer()}, ToShape(expect.at("build_input_shape")), {}};
  const auto layer = client().Create(std::move(draft));
  ASSERT_THAT(layer, IsOk());
  EXPECT_EQ(layer->parameter_count(), expect.at("count_params"));

  ASSERT_THAT(client().SetWeights(id, golden().RecordedWeights()), IsOkAndHolds(2));
  const auto stored = client().GetWeights(id);
  ASSERT_THAT(stored, IsOk());
  EXPECT_EQ(expect.at("weights")[0].at("dtype"), DataTypeName(stored->weights.kernel.dtype()));
  EXPECT_EQ(ToDoubles(stored->weights.kernel), ToDoubles(golden().Array("kernel")));

  Shape open_batch = ToShape(expect.at("input_shape"));
  open_batch[0] = -1;
  EXPECT_THAT(client().ComputeOutputShape(id, open_batch),
              IsOkAndHolds(ToShape(expect.at("compute_output_shape"))));

  const auto result = client().Forward(id, golden().Array("input"), {.compute_losses = true});
  if (!IsTaken()) {
    EXPECT_THAT(result, StatusIs(absl::StatusCode::kUnimplemented));
    return;
  }
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->weights_version, 2);
  EXPECT_EQ(expect.at("compute_dtype"), DataTypeName(result->output.dtype()));
  EXPECT_EQ(result->output.shape(), ToShape(expect.at("output_shape")));
  ExpectClose(result->output, "output");

  const auto& losses = expect.at("losses");
  ASSERT_EQ(static_cast<size_t>(result->losses.size()), losses.size());
  for (size_t i = 0; i < losses.size(); ++i) {
    const double expected = losses[i];
    EXPECT_NEAR(result->losses[i].value(), expected, 1e-6 + 1e-5 * std::abs(expected)) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(All, GoldenForwardTest,
                         Combine(ValuesIn(AllChoices()), ValuesIn(ForwardCases())), TestName);

// Configurations as Keras 3 prints them.
class GoldenConfigTest : public GoldenTest {};

TEST_P(GoldenConfigTest, IsPrintedAsKeras3PrintsIt) {
  const auto layer =
      client().Create({"config of " + golden().id, KerasJson{golden().SerializedLayer()}, {}, {}});
  ASSERT_THAT(layer, IsOk());
  EXPECT_EQ(nlohmann::json::parse(layer->keras_json()).at("config"), golden().Keras3Config());
}

INSTANTIATE_TEST_SUITE_P(All, GoldenConfigTest,
                         Combine(Values(kPlanned), ValuesIn(CasesOfKinds({"keras2_config"}))),
                         TestName);

// Initializers: the values are random, their distribution is not.
class GoldenInitTest : public GoldenTest {
 protected:
  void ExpectDistribution(const std::vector<double>& values, const nlohmann::json& init) const {
    const std::string distribution = init.at("distribution");
    if (distribution == "constant") {
      EXPECT_THAT(values, ::testing::Each(static_cast<double>(init.at("value").get<float>())));
    } else if (distribution == "orthogonal") {
      ExpectOrthogonal(values, init);
    } else {
      ExpectMoments(values, init);
    }
  }

 private:
  // Bounds hold always; mean and deviation within six standard errors.
  static void ExpectMoments(const std::vector<double>& values, const nlohmann::json& init) {
    const auto count = static_cast<double>(values.size());
    const double mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
    double square = 0;
    for (const double value : values) {
      square += (value - mean) * (value - mean);
      EXPECT_GE(value, init.value("low", -INFINITY));
      EXPECT_LE(value, init.value("high", INFINITY));
    }
    const double std = init.at("std");
    EXPECT_NEAR(mean, init.at("mean"), 6 * std / std::sqrt(count));
    EXPECT_NEAR(std::sqrt(square / count), std, 6 * std / std::sqrt(2 * count));
  }

  // Rows or columns of the flat kernel, whichever are fewer, are orthogonal
  // and as long as the gain.
  static void ExpectOrthogonal(const std::vector<double>& values, const nlohmann::json& init) {
    const size_t rows = init.at("flat_shape")[0];
    const size_t columns = init.at("flat_shape")[1];
    const bool by_rows = init.at("orthonormal_side") == "rows";
    const double gain = init.at("gain");
    const size_t count = by_rows ? rows : columns;
    const size_t length = by_rows ? columns : rows;
    const auto at = [&](size_t vector, size_t k) {
      return by_rows ? values[vector * columns + k] : values[k * columns + vector];
    };
    for (size_t i = 0; i < count; ++i) {
      for (size_t j = 0; j < count; ++j) {
        double product = 0;
        for (size_t k = 0; k < length; ++k) product += at(i, k) * at(j, k);
        EXPECT_NEAR(product, i == j ? gain * gain : 0.0, 1e-5 * gain * gain) << i << ", " << j;
      }
    }
  }
};

TEST_P(GoldenInitTest, DrawsFromKerasDistribution) {
  const auto& expect = golden().expect;
  const auto layer = client().Create({golden().id,
                                      KerasJson{golden().SerializedLayer()},
                                      ToShape(expect.at("build_input_shape")),
                                      {}});
  ASSERT_THAT(layer, IsOk());
  EXPECT_EQ(layer->parameter_count(), expect.at("count_params"));
  const auto stored = client().GetWeights(golden().id);
  ASSERT_THAT(stored, IsOk());
  EXPECT_EQ(stored->weights.kernel.shape(), ToShape(expect.at("weights")[0].at("shape")));
  ExpectDistribution(ToDoubles(stored->weights.kernel), expect.at("init").at("kernel"));
  ASSERT_EQ(stored->weights.bias.has_value(), expect.at("init").contains("bias"));
  if (stored->weights.bias.has_value()) {
    ExpectDistribution(ToDoubles(*stored->weights.bias), expect.at("init").at("bias"));
  }
}

INSTANTIATE_TEST_SUITE_P(All, GoldenInitTest,
                         Combine(Values(kPlanned), ValuesIn(CasesOfKinds({"init"}))), TestName);

// Mistakes: replayed in Keras' order, and refused no later than Keras did.
class GoldenErrorTest : public GoldenTest {
 protected:
  struct Refusal {
    std::string stage;  // empty: everything was accepted
    absl::Status status;
  };

  Refusal Replay() const {
    const auto& expect = golden().expect;
    const std::string& id = golden().id;
    absl::Status status =
        client().Create({id, KerasJson{golden().SerializedLayer()}, {}, {}}).status();
    if (!status.ok()) return {"construct", status};
    bool is_built = false;
    if (!expect.at("build_shape").is_null()) {
      status = client().Build(id, ToShape(expect.at("build_shape"))).status();
      if (!status.ok()) return {"build", status};
      is_built = true;
    }
    if (!expect.at("set_weights_shapes").is_null()) {
      status = SetOnes(id, expect.at("set_weights_shapes"));
      if (!status.ok()) return {"set_weights", status};
    }
    for (const auto& shape : expect.at("call_input_shapes")) {
      // Keras builds a layer with its first call.
      if (!is_built) status = client().Build(id, ToShape(shape)).status();
      if (status.ok()) status = client().Forward(id, Ones(ToShape(shape))).status();
      if (!status.ok()) return {"call", status};
      is_built = true;
    }
    return {};
  }

 private:
  static Tensor Ones(const Shape& shape) {
    const std::vector<float> values(static_cast<size_t>(ElementCount(shape).value()), 1.0f);
    return Tensor::FromValues<float>(shape, std::span<const float>(values)).value();
  }

  absl::Status SetOnes(const std::string& id, const nlohmann::json& shapes) const {
    Weights weights{Ones(ToShape(shapes.at(0))), std::nullopt};
    if (shapes.size() > 1) weights.bias = Ones(ToShape(shapes.at(1)));
    return client().SetWeights(id, std::move(weights)).status();
  }
};

TEST_P(GoldenErrorTest, IsRefusedWhenKerasRefusesIt) {
  const auto& expect = golden().expect;
  const Refusal refusal = Replay();
  if (!refusal.stage.empty()) {
    EXPECT_THAT(refusal.status.code(),
                AnyOf(absl::StatusCode::kInvalidArgument, absl::StatusCode::kFailedPrecondition))
        << refusal.status;
  }
  if (expect.at("service") == "accept") {
    EXPECT_EQ(refusal.stage, "") << refusal.status;
  } else if (expect.at("service") == "reject") {
    const std::vector<std::string> stages = {"construct", "build", "set_weights", "call"};
    const auto rank = [&](const std::string& stage) {
      return std::find(stages.begin(), stages.end(), stage) - stages.begin();
    };
    EXPECT_LE(rank(refusal.stage), rank(expect.at("keras3").at("stage"))) << refusal.status;
    EXPECT_NE(refusal.stage, "") << "accepted";
  }
}

INSTANTIATE_TEST_SUITE_P(All, GoldenErrorTest,
                         Combine(Values(kPlanned), ValuesIn(CasesOfKinds({"error"}))), TestName);

// Projections, which act in training only; here on the recorded weights.
class GoldenConstraintTest : public GoldenTest {
 protected:
  void ExpectProjection(const std::optional<server::Constraint>& constraint,
                        const std::string& weight) const {
    if (!constraint.has_value()) return;
    const Tensor given = golden().Array(weight);
    const server::ConstTensorView view = ViewOf(given);
    auto projected = server::Tensor::Converted(view, view.dtype).value();
    constraint->Project(projected.mutable_view());
    const std::string bytes(reinterpret_cast<const char*>(projected.view().data),
                            static_cast<size_t>(projected.size_bytes()));
    ExpectClose(*Tensor::FromBytes(given.dtype(), given.shape(), bytes), weight + "_constrained");
  }
};

TEST_P(GoldenConstraintTest, ProjectsAsKerasDoes) {
  const auto parsed = server::ParseKerasJson(golden().SerializedLayer());
  ASSERT_THAT(parsed, IsOk());
  const auto config = server::LayerConfigFromProto(parsed->config);
  ASSERT_THAT(config, IsOk());
  ASSERT_TRUE(config->kernel_constraint.has_value() || config->bias_constraint.has_value());
  ExpectProjection(config->kernel_constraint, "kernel");
  ExpectProjection(config->bias_constraint, "bias");
}

INSTANTIATE_TEST_SUITE_P(All, GoldenConstraintTest,
                         Combine(Values(kPlanned), ValuesIn(CasesOfKinds({"constraint"}))),
                         TestName);

}  // namespace
}  // namespace tconv::testing
