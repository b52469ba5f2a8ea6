// What every RPC does, and every way it can refuse.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/client.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/proto_equal.h"
#include "tests/support/small_layer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_server.h"

namespace tconv::testing {
namespace {

using absl::StatusCode;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

std::vector<float> Values(const Tensor& tensor) {
  const auto values = tensor.values<float>();
  return values.ok() ? std::vector<float>(values->begin(), values->end()) : std::vector<float>();
}

class LifecycleTest : public ::testing::Test {
 protected:
  const std::unique_ptr<TestServer> server_ = TestServer::Start();
  const Client client_{server_->target()};
};

TEST_F(LifecycleTest, CreateWithAnInputShapeRunsTheInitializers) {
  const auto layer =
      client_.Create({.name = "up", .definition = SmallConfig(), .input_shape = {-1, -1, -1, 3}});
  ASSERT_THAT(layer, IsOk());
  EXPECT_EQ(layer->name(), "up");
  EXPECT_EQ(layer->input_channels(), 3);
  EXPECT_EQ(layer->parameter_count(), 2 * 2 * 4 * 3 + 4);
  EXPECT_EQ(layer->weights_version(), 1);
  EXPECT_EQ(layer->config().kernel_initializer().name(), "GlorotUniform");
  EXPECT_THAT(client_.Forward("up", SmallInput()), IsOk());
}

TEST_F(LifecycleTest, CreateTakesTheConfigurationOfAKerasLayer) {
  const auto layer = client_.Create(
      {.definition = KerasJson{R"({"name": "up", "filters": 4, "kernel_size": [2, 2]})"}});
  ASSERT_THAT(layer, IsOk());
  EXPECT_EQ(layer->name(), "up");
  EXPECT_EQ(layer->config().class_name(), "Conv2DTranspose");
  EXPECT_EQ(layer->weights_version(), 0);
}

TEST_F(LifecycleTest, ABuildConfigInTheJsonBuildsTheLayer) {
  const auto layer = client_.Create({.definition = KerasJson{
                                         R"({"class_name": "Conv1DTranspose",
          "config": {"name": "up", "filters": 4, "kernel_size": [2]},
          "build_config": {"input_shape": [null, null, 5]}})"}});
  ASSERT_THAT(layer, IsOk());
  EXPECT_EQ(layer->input_channels(), 5);
  EXPECT_EQ(layer->weights_version(), 1);
}

TEST_F(LifecycleTest, TheJsonThatGetReportsCreatesTheSameLayer) {
  const auto layer = client_.Create(SmallLayer("up", 1));
  ASSERT_THAT(layer, IsOk());
  ASSERT_THAT(client_.Delete("up"), IsOk());
  const auto again = client_.Create({.name = "up", .definition = KerasJson{layer->keras_json()}});
  ASSERT_THAT(again, IsOk());
  EXPECT_TRUE(ProtosEqual(layer->config(), again->config()));
}

TEST_F(LifecycleTest, NamesAreGeneratedAsKerasDoes) {
  EXPECT_EQ(client_.Create({.definition = SmallConfig()})->name(), "conv2d_transpose");
  EXPECT_EQ(client_.Create({.definition = SmallConfig()})->name(), "conv2d_transpose_1");
}

TEST_F(LifecycleTest, BuildFixesTheChannelsOfTheInput) {
  ASSERT_THAT(client_.Create({.name = "up", .definition = SmallConfig()}), IsOk());
  EXPECT_THAT(client_.Forward("up", SmallInput()), StatusIs(StatusCode::kFailedPrecondition));
  const auto layer = client_.Build("up", {-1, -1, -1, 3});
  ASSERT_THAT(layer, IsOk());
  EXPECT_EQ(layer->weights_version(), 1);
  EXPECT_THAT(client_.Forward("up", SmallInput()), IsOk());
}

TEST_F(LifecycleTest, ForwardUsesTheWeightsThatWereSetLast) {
  ASSERT_THAT(client_.Create(SmallLayer("up", 1)), IsOk());
  EXPECT_THAT(client_.SetWeights("up", SmallWeights(2)), IsOkAndHolds(2));
  const auto result = client_.Forward("up", SmallInput());
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->weights_version, 2);
  EXPECT_THAT(result->output.shape(), ElementsAre(1, 4, 4, 4));
  EXPECT_THAT(Values(result->output), Each(6.0F));
  EXPECT_THAT(result->losses, IsEmpty());
}

TEST_F(LifecycleTest, ForwardReportsLossesInTheOrderOfKeras) {
  NewLayer layer = SmallLayer("up", 2);
  v1::LayerConfig config = SmallConfig();
  for (auto* regularizer : {config.mutable_kernel_regularizer(), config.mutable_bias_regularizer(),
                            config.mutable_activity_regularizer()}) {
    regularizer->set_name("L1");
    (*regularizer->mutable_arguments()->mutable_fields())["l1"].set_number_value(0.5);
  }
  layer.definition = config;
  ASSERT_THAT(client_.Create(layer), IsOk());
  const auto result = client_.Forward("up", SmallInput(), {.compute_losses = true});
  ASSERT_THAT(result, IsOk());
  ASSERT_THAT(result->losses, SizeIs(3));
  EXPECT_EQ(result->losses[0].source(), v1::LOSS_SOURCE_ACTIVITY);
  EXPECT_DOUBLE_EQ(result->losses[0].value(), 0.5 * 64 * 6);
  EXPECT_EQ(result->losses[1].source(), v1::LOSS_SOURCE_KERNEL);
  EXPECT_DOUBLE_EQ(result->losses[1].value(), 0.5 * 48 * 2);
  EXPECT_EQ(result->losses[2].source(), v1::LOSS_SOURCE_BIAS);
  EXPECT_DOUBLE_EQ(result->losses[2].value(), 0);
}

TEST_F(LifecycleTest, GetWeightsAnswersBitForBit) {
  ASSERT_THAT(client_.Create(SmallLayer("up", 1)), IsOk());
  std::string bytes(2 * 2 * 4 * 3 * sizeof(float), '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 37);
  bytes.replace(0, 4, "\x01\x02\xc0\x7f");  // a NaN with a payload
  Weights weights = SmallWeights(0);
  weights.kernel = *Tensor::FromBytes(v1::DATA_TYPE_FLOAT32, {2, 2, 4, 3}, bytes);
  ASSERT_THAT(client_.SetWeights("up", weights), IsOkAndHolds(2));
  const auto answer = client_.GetWeights("up");
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->version, 2);
  EXPECT_EQ(answer->weights.kernel.bytes(), bytes);
  EXPECT_EQ(answer->weights.bias->bytes(), weights.bias->bytes());
}

TEST_F(LifecycleTest, SetWeightsChecksTheVersionItIsBasedOn) {
  ASSERT_THAT(client_.Create(SmallLayer("up", 1)), IsOk());
  EXPECT_THAT(client_.SetWeights("up", SmallWeights(2), 1), IsOkAndHolds(2));
  EXPECT_THAT(client_.SetWeights("up", SmallWeights(3), 1), StatusIs(StatusCode::kAborted));
  EXPECT_THAT(Values(client_.Forward("up", SmallInput())->output), Each(6.0F));
}

TEST_F(LifecycleTest, ComputeOutputShapeKeepsUnknownExtentsUnknown) {
  ASSERT_THAT(client_.Create({.name = "up", .definition = SmallConfig()}), IsOk());
  EXPECT_THAT(client_.ComputeOutputShape("up", {-1, 5, -1, 3}),
              IsOkAndHolds(ElementsAre(-1, 10, -1, 4)));
}

TEST_F(LifecycleTest, GetTellsHowEachShapeIsComputed) {
  ASSERT_THAT(client_.Create(SmallLayer("up", 1)), IsOk());
  ASSERT_THAT(client_.Forward("up", SmallInput()), IsOk());
  const auto layer = client_.Get("up");
  ASSERT_THAT(layer, IsOk());
  ASSERT_THAT(layer->plans(), SizeIs(1));
  EXPECT_THAT(layer->plans(0).input_shape(), ElementsAre(1, 2, 2, 3));
  int chosen = 0;
  for (const auto& verdict : layer->plans(0).verdicts()) {
    chosen += verdict.chosen() ? 1 : 0;
    EXPECT_THAT(verdict.reason(), Not(IsEmpty())) << verdict.strategy();
  }
  EXPECT_EQ(chosen, 1);
}

TEST_F(LifecycleTest, AForcedStrategyComputes) {
  server::ServerOptions options;
  options.strategy = "reference";
  const auto server = TestServer::Start(options);
  const Client client(server->target());
  ASSERT_THAT(client.Create(SmallLayer("up", 1)), IsOk());
  EXPECT_THAT(Values(client.Forward("up", SmallInput())->output), Each(3.0F));
  const auto layer = client.Get("up");
  ASSERT_THAT(layer, IsOk());
  for (const auto& verdict : layer->plans(0).verdicts()) {
    EXPECT_EQ(verdict.chosen(), verdict.strategy() == "reference");
  }
}

TEST_F(LifecycleTest, ListTurnsPagesInTheOrderOfNames) {
  for (const char* name : {"c", "a", "b"}) {
    ASSERT_THAT(client_.Create({.name = name, .definition = SmallConfig()}), IsOk());
  }
  const auto first = client_.List(2);
  ASSERT_THAT(first, IsOk());
  ASSERT_THAT(first->layers(), SizeIs(2));
  EXPECT_EQ(first->layers(0).name(), "a");
  EXPECT_EQ(first->layers(1).name(), "b");
  const auto second = client_.List(2, first->next_page_token());
  ASSERT_THAT(second, IsOk());
  ASSERT_THAT(second->layers(), SizeIs(1));
  EXPECT_EQ(second->layers(0).name(), "c");
  EXPECT_THAT(second->next_page_token(), IsEmpty());
}

TEST_F(LifecycleTest, ADeletedLayerIsGoneAndItsNameIsFree) {
  ASSERT_THAT(client_.Create(SmallLayer("up", 1)), IsOk());
  ASSERT_THAT(client_.Delete("up"), IsOk());
  EXPECT_THAT(client_.Get("up"), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(client_.Create(SmallLayer("up", 1)), IsOk());
}

// What each call is refused with, on a server that has the layer "up" for three
// channels at version 1 and the layer "plain" that is not built.
struct Refusal {
  const char* name;
  StatusCode code;
  const char* field;  // of the request; empty when none is to blame
  std::function<absl::Status(const Client&)> call;
};

v1::LayerConfig ConfigWithStrides(int64_t stride) {
  v1::LayerConfig config = SmallConfig();
  config.set_strides(0, stride);
  return config;
}

const Refusal kRefusals[] = {
    {"CreateATakenName", StatusCode::kAlreadyExists, "",
     [](const Client& c) { return c.Create(SmallLayer("up", 1)).status(); }},
    {"CreateWithASlashInTheName", StatusCode::kInvalidArgument, "name",
     [](const Client& c) { return c.Create(SmallLayer("a/b", 1)).status(); }},
    {"CreateWithAStrideOfZero", StatusCode::kInvalidArgument, "config.strides",
     [](const Client& c) { return c.Create({.definition = ConfigWithStrides(0)}).status(); }},
    {"CreateFromBrokenJson", StatusCode::kInvalidArgument, "keras_json",
     [](const Client& c) { return c.Create({.definition = KerasJson{"{"}}).status(); }},
    {"CreateFromJsonWithABadField", StatusCode::kInvalidArgument, "keras_json.filters",
     [](const Client& c) {
       return c.Create({.definition = KerasJson{R"({"filters": -1, "kernel_size": [2, 2]})"}})
           .status();
     }},
    {"CreateFromJsonWithABadBuildShape", StatusCode::kInvalidArgument,
     "keras_json.build_config.input_shape",
     [](const Client& c) {
       return c
           .Create({.definition = KerasJson{R"({"class_name": "Conv1DTranspose",
                        "config": {"name": "up", "filters": 4, "kernel_size": [2]},
                        "build_config": {"input_shape": [null, 5]}})"}})
           .status();
     }},
    {"CreateForAShapeOfTheWrongRank", StatusCode::kInvalidArgument, "input_shape",
     [](const Client& c) {
       return c.Create({.definition = SmallConfig(), .input_shape = {-1, 3}}).status();
     }},
    {"CreateWithoutADefinition", StatusCode::kInvalidArgument, "config.class_name",
     [](const Client& c) { return c.Create({.name = "x"}).status(); }},
    {"BuildABuiltLayer", StatusCode::kFailedPrecondition, "",
     [](const Client& c) {
       return c.Build("up", {-1, -1, -1, 3}).status();
     }},
    {"BuildWithoutChannels", StatusCode::kInvalidArgument, "input_shape",
     [](const Client& c) {
       return c.Build("plain", {-1, -1, -1, -1}).status();
     }},
    {"SetWeightsOfAnUnbuiltLayer", StatusCode::kFailedPrecondition, "",
     [](const Client& c) { return c.SetWeights("plain", SmallWeights(1)).status(); }},
    {"SetWeightsOfTheWrongShape", StatusCode::kInvalidArgument, "weights.kernel",
     [](const Client& c) {
       return c.SetWeights("up", {.kernel = Filled({2, 2, 3, 4}, 1), .bias = Filled({4}, 0)})
           .status();
     }},
    {"SetWeightsWithoutTheBias", StatusCode::kInvalidArgument, "weights.bias",
     [](const Client& c) {
       return c.SetWeights("up", {.kernel = Filled({2, 2, 4, 3}, 1)}).status();
     }},
    {"SetWeightsWithoutAKernel", StatusCode::kInvalidArgument, "weights.kernel.dtype",
     [](const Client& c) { return c.SetWeights("up", {}).status(); }},
    {"SetWeightsAtAnotherVersion", StatusCode::kAborted, "",
     [](const Client& c) { return c.SetWeights("up", SmallWeights(1), 7).status(); }},
    {"GetWeightsOfAnUnbuiltLayer", StatusCode::kFailedPrecondition, "",
     [](const Client& c) { return c.GetWeights("plain").status(); }},
    {"ForwardOnAnUnbuiltLayer", StatusCode::kFailedPrecondition, "",
     [](const Client& c) { return c.Forward("plain", SmallInput()).status(); }},
    {"ForwardWithTheWrongChannels", StatusCode::kInvalidArgument, "input.shape",
     [](const Client& c) {
       return c.Forward("up", Filled({1, 2, 2, 5}, 1)).status();
     }},
    {"ForwardWithTheWrongRank", StatusCode::kInvalidArgument, "input.shape",
     [](const Client& c) {
       return c.Forward("up", Filled({2, 3}, 1)).status();
     }},
    {"ForwardWithoutAType", StatusCode::kInvalidArgument, "input.dtype",
     [](const Client& c) { return c.Forward("up", Tensor()).status(); }},
    {"ComputeOutputShapeOfTheWrongRank", StatusCode::kInvalidArgument, "input_shape",
     [](const Client& c) { return c.ComputeOutputShape("up", {1}).status(); }},
    {"ListLessThanNothing", StatusCode::kInvalidArgument, "page_size",
     [](const Client& c) { return c.List(-1).status(); }},
    {"GetNothing", StatusCode::kNotFound, "",
     [](const Client& c) { return c.Get("none").status(); }},
    {"BuildNothing", StatusCode::kNotFound, "",
     [](const Client& c) {
       return c.Build("none", {-1, -1, -1, 3}).status();
     }},
    {"ForwardNothing", StatusCode::kNotFound, "",
     [](const Client& c) { return c.Forward("none", SmallInput()).status(); }},
    {"SetWeightsOfNothing", StatusCode::kNotFound, "",
     [](const Client& c) { return c.SetWeights("none", SmallWeights(1)).status(); }},
    {"GetWeightsOfNothing", StatusCode::kNotFound, "",
     [](const Client& c) { return c.GetWeights("none").status(); }},
    {"ComputeOutputShapeOfNothing", StatusCode::kNotFound, "",
     [](const Client& c) {
       return c.ComputeOutputShape("none", {1, 2, 2, 3}).status();
     }},
    {"DeleteNothing", StatusCode::kNotFound, "", [](const Client& c) { return c.Delete("none"); }},
};

class RefusalTest : public LifecycleTest, public ::testing::WithParamInterface<Refusal> {
 protected:
  void SetUp() override {
    ASSERT_THAT(client_.Create(SmallLayer("up", 1)), IsOk());
    ASSERT_THAT(client_.Create({.name = "plain", .definition = SmallConfig()}), IsOk());
  }
};

TEST_P(RefusalTest, HasItsCodeNamesTheFieldAndChangesNothing) {
  const auto before = client_.ListAll();
  const absl::Status status = GetParam().call(client_);
  EXPECT_THAT(status, StatusIs(GetParam().code, Not(IsEmpty())));
  const std::vector<FieldViolation> violations = FieldViolations(status);
  if (std::string(GetParam().field).empty()) {
    EXPECT_THAT(violations, IsEmpty());
  } else {
    ASSERT_THAT(violations, SizeIs(1));
    EXPECT_THAT(violations[0].field, ::testing::StartsWith(GetParam().field));
    EXPECT_THAT(std::string(status.message()), ::testing::StartsWith(violations[0].field + ": "));
  }
  const auto after = client_.ListAll();
  ASSERT_EQ(after->size(), before->size());
  for (size_t i = 0; i < after->size(); ++i) {
    EXPECT_TRUE(ProtosEqual((*before)[i], (*after)[i]));
  }
}

INSTANTIATE_TEST_SUITE_P(Every, RefusalTest, ::testing::ValuesIn(kRefusals),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(LimitTest, LayersBeyondTheLimitAreRefused) {
  server::ServerOptions options;
  options.host.max_layers = 1;
  const auto server = TestServer::Start(options);
  const Client client(server->target());
  ASSERT_THAT(client.Create(SmallLayer("a", 1)), IsOk());
  EXPECT_THAT(client.Create(SmallLayer("b", 1)), StatusIs(StatusCode::kResourceExhausted));
}

TEST(LimitTest, AnOutputLargerThanAMessageIsRefused) {
  server::ServerOptions options;
  options.grpc.max_message_bytes = 128 << 10;
  const auto server = TestServer::Start(options);
  const Client client(server->target());
  ASSERT_THAT(client.Create(SmallLayer("up", 1)), IsOk());
  EXPECT_THAT(client.Forward("up", Filled({1, 50, 50, 3}, 1)),
              StatusIs(StatusCode::kResourceExhausted));
}

TEST(LimitTest, WeightsBeyondTheLimitOfALayerAreRefused) {
  server::ServerOptions options;
  options.host.max_layer_bytes = 100;
  const auto server = TestServer::Start(options);
  const Client client(server->target());
  EXPECT_THAT(client.Create(SmallLayer("up", 1)), StatusIs(StatusCode::kResourceExhausted));
}

}  // namespace
}  // namespace tconv::testing
