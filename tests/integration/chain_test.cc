// Chains through a real server and its client.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/client.h>
#include <tconv/v1/chain.grpc.pb.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/golden/expect_close.h"
#include "tests/golden/golden_case.h"
#include "tests/integration/raw_call.h"
#include "tests/support/small_layer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test_server.h"

namespace tconv::testing {
namespace {

using absl::StatusCode;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// Takes the four channels of SmallLayer() and gives one, without spreading.
NewLayer Summing(std::string name, float value) {
  v1::LayerConfig config;
  config.set_class_name("Conv2DTranspose");
  config.set_filters(1);
  config.add_kernel_size(1);
  config.add_kernel_size(1);
  return {.name = std::move(name),
          .definition = config,
          .weights = Weights{.kernel = Filled({1, 1, 1, 4}, value), .bias = Filled({1}, 0)}};
}

v1::KerasObject Function(const std::string& name) {
  v1::KerasObject object;
  object.set_name(name);
  return object;
}

class ChainTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(client_.Create(SmallLayer("up", 1)), IsOk());
    ASSERT_THAT(client_.Create(Summing("sum", 0.5F)), IsOk());
    ASSERT_THAT(client_.CreateChain("decoder", {"up", "sum"}), IsOk());
  }

  const std::unique_ptr<TestServer> server_ = TestServer::Start();
  const Client client_{server_->target()};
};

TEST_F(ChainTest, IsDescribedAsItComputes) {
  const auto chain = client_.GetChain("decoder");
  ASSERT_THAT(chain, IsOk());
  EXPECT_EQ(chain->name(), "decoder");
  ASSERT_EQ(chain->steps_size(), 2);
  EXPECT_EQ(chain->steps(0).layer(), "up");
  EXPECT_EQ(chain->weights_version(), 2);
  EXPECT_THAT(chain->input_shape(), ElementsAre(-1, -1, -1, 3));
  EXPECT_THAT(chain->output_shape(), ElementsAre(-1, -1, -1, 1));
  EXPECT_EQ(chain->output_dtype(), v1::DATA_TYPE_FLOAT32);
  EXPECT_EQ(chain->data_format(), v1::DATA_FORMAT_CHANNELS_LAST);
  const auto result = client_.Forward("decoder", SmallInput());
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->output.shape(), (Shape{1, 4, 4, 1}));
  EXPECT_THAT(*result->output.values<float>(), Each(3.0F * 4 * 0.5F));
  EXPECT_EQ(result->weights_version, 2);
  EXPECT_THAT(client_.ComputeOutputShape("decoder", {-1, 2, 2, 3}),
              IsOkAndHolds(ElementsAre(-1, 4, 4, 1)));
}

TEST_F(ChainTest, KerasReadsWhatIsSaidOfIt) {
  ASSERT_THAT(client_.CreateChain("active", {"up", Function("relu"), "sum", Function("tanh")}),
              IsOk());
  const auto json = nlohmann::json::parse(client_.GetChain("active")->keras_json());
  EXPECT_EQ(json.at("class_name"), "Sequential");
  const auto& layers = json.at("config").at("layers");
  ASSERT_EQ(layers.size(), 4u);
  EXPECT_EQ(layers[0].at("config").at("name"), "up");
  EXPECT_EQ(layers[1].at("class_name"), "Activation");
  EXPECT_EQ(layers[1].at("config").at("activation"), "relu");
  EXPECT_EQ(layers[3].at("config").at("name"), "activation_1");
  EXPECT_EQ(json.at("build_config").at("input_shape")[3], 3);
  // A Sequential cannot have one layer twice.
  ASSERT_THAT(client_.Create({.name = "same",
                              .definition = std::get<v1::LayerConfig>(Summing("", 1).definition),
                              .input_shape = {-1, -1, -1, 1}}),
              IsOk());
  EXPECT_EQ(client_.CreateChain("twice", {"same", "same"})->keras_json(), "");
}

TEST_F(ChainTest, ServesStreamsAsItServesMessages) {
  const Tensor input = Filled({2, 50, 40, 3}, 0.25F);
  const auto whole = client_.Forward("decoder", input);
  ASSERT_THAT(whole, IsOk());
  ForwardOptions options;
  options.transfer = Transfer::kStream;
  const auto streamed = client_.Forward("decoder", input, options);
  ASSERT_THAT(streamed, IsOk());
  EXPECT_EQ(streamed->output.shape(), whole->output.shape());
  EXPECT_EQ(streamed->output.bytes(), whole->output.bytes());
  EXPECT_EQ(streamed->weights_version, 2);
}

TEST_F(ChainTest, WaitsForTheVersionThatIsAskedFor) {
  ForwardOptions options;
  options.min_version = 3;
  options.call.timeout = std::chrono::seconds(60);
  auto answer = client_.ForwardAsync("decoder", SmallInput(), options);
  ASSERT_THAT(client_.SetWeights("up", SmallWeights(2)), IsOk());
  const auto result = answer.get();
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->weights_version, 3);
  EXPECT_THAT(*result->output.values<float>(), Each(12.0F));
}

TEST_F(ChainTest, KeepsItsLayersAndItsName) {
  EXPECT_THAT(client_.Delete("up"),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("chain \"decoder\"")));
  EXPECT_THAT(client_.Create(SmallLayer("decoder", 1)), StatusIs(StatusCode::kAlreadyExists));
  EXPECT_THAT(client_.ListAllChains(), IsOkAndHolds(SizeIs(1)));
  EXPECT_THAT(client_.ListAll(), IsOkAndHolds(SizeIs(2)));
  EXPECT_THAT(client_.DeleteChain("decoder"), IsOk());
  EXPECT_THAT(client_.Forward("decoder", SmallInput()), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(client_.Delete("up"), IsOk());
}

TEST_F(ChainTest, RegularizersOfAllLayersAreToldInTheOrderOfTheSteps) {
  auto up = std::get<v1::LayerConfig>(SmallLayer("", 1).definition);
  up.mutable_kernel_regularizer()->set_name("L2");
  auto sum = std::get<v1::LayerConfig>(Summing("", 1).definition);
  sum.mutable_activity_regularizer()->set_name("L1");
  ASSERT_THAT(client_.Create({.name = "r-up", .definition = up, .weights = SmallWeights(1)}),
              IsOk());
  ASSERT_THAT(
      client_.Create({.name = "r-sum", .definition = sum, .weights = Summing("", 0.5F).weights}),
      IsOk());
  ASSERT_THAT(client_.CreateChain("regular", {"r-up", "r-sum"}), IsOk());
  ForwardOptions options;
  options.compute_losses = true;
  const auto result = client_.Forward("regular", SmallInput(), options);
  ASSERT_THAT(result, IsOk());
  ASSERT_EQ(result->losses.size(), 2u);
  EXPECT_EQ(result->losses[0].source(), v1::LOSS_SOURCE_KERNEL);
  EXPECT_EQ(result->losses[1].source(), v1::LOSS_SOURCE_ACTIVITY);
  EXPECT_FLOAT_EQ(static_cast<float>(result->losses[1].value()), 0.01F * 16 * 6);
}

// Two models of the same layers, changed by their owners while others call them: no
// answer mixes versions that were never served together.
TEST_F(ChainTest, NoAnswerMixesVersions) {
  constexpr int kVersions = 60;
  std::atomic<bool> done = false;
  std::vector<std::thread> callers;
  std::atomic<int> answers = 0;
  ASSERT_THAT(client_.SetWeights("sum", *Summing("", 1).weights), IsOk());
  ASSERT_THAT(client_.SetWeights("up", SmallWeights(1)), IsOk());
  for (int i = 0; i < 3; ++i) {
    callers.emplace_back([&] {
      const Client client(server_->target());
      while (!done) {
        const auto result = client.Forward("decoder", SmallInput());
        ASSERT_THAT(result, IsOk());
        // "up" is always set first; from 4 on each of both is version / 2 - 1.
        const auto up = static_cast<float>((result->weights_version + 1) / 2 - 1);
        const auto sum = static_cast<float>(result->weights_version / 2 - 1);
        EXPECT_THAT(*result->output.values<float>(), Each(12.0F * up * sum));
        ++answers;
      }
    });
  }
  for (int value = 2; value <= kVersions; ++value) {
    ASSERT_THAT(client_.SetWeights("up", SmallWeights(static_cast<float>(value))), IsOk());
    ASSERT_THAT(client_.SetWeights("sum", *Summing("", static_cast<float>(value)).weights), IsOk());
  }
  done = true;
  for (std::thread& caller : callers) caller.join();
  EXPECT_GT(answers, 0);
}

TEST_F(ChainTest, RequestsThatMakeNoSenseAreRefusedByField) {
  const auto channel = OpenChannel(server_->target());
  struct Case {
    v1::CreateChainRequest request;
    grpc::StatusCode code;
    const char* message;
  };
  const auto request = [](const std::string& name, const std::vector<v1::ChainStep>& steps) {
    v1::CreateChainRequest message;
    message.set_name(name);
    message.mutable_steps()->Add(steps.begin(), steps.end());
    return message;
  };
  const auto layer = [](const std::string& name) {
    v1::ChainStep step;
    step.set_layer(name);
    return step;
  };
  const auto function = [](const std::string& name) {
    v1::ChainStep step;
    step.mutable_activation()->set_name(name);
    return step;
  };
  const auto invalid = grpc::StatusCode::INVALID_ARGUMENT;
  const std::vector<v1::ChainStep> too_many(10'000, layer("up"));
  const Case kCases[] = {
      {request("", {layer("up")}), invalid, "name: expected a name"},
      {request(std::string(256, 'x'), {layer("up")}), invalid, "at most 255 bytes"},
      {request("a\nb", {layer("up")}), invalid, "control characters"},
      {request("c", {}), invalid, "steps: expected 1 to 256, got 0"},
      {request("c", too_many), invalid, "got 10000"},
      {request("c", {v1::ChainStep()}), invalid, "steps[0].step: expected"},
      {request("c", {layer("")}), invalid, "steps[0].layer: expected a name"},
      {request("c", {layer("up"), function("nonsense")}), invalid, "steps[1].activation"},
      {request("c", {function("relu")}), invalid, "steps[0]: expected a layer first"},
      {request("c", {layer("up"), layer("up")}), invalid, "steps[1].layer: expected a layer for 4"},
      {request("c", {layer("decoder")}), grpc::StatusCode::NOT_FOUND, "no layer \"decoder\""},
      {request("decoder", {layer("up")}), grpc::StatusCode::ALREADY_EXISTS, "chain \"decoder\""},
      {request("up", {layer("up")}), grpc::StatusCode::ALREADY_EXISTS, "layer \"up\""},
  };
  for (const Case& c : kCases) {
    const grpc::Status status =
        RawUnaryCall(channel, "/tconv.v1.ChainService/CreateChain", c.request.SerializeAsString());
    EXPECT_EQ(status.error_code(), c.code) << c.message;
    EXPECT_THAT(status.error_message(), HasSubstr(c.message));
  }
  for (const char* method : {"CreateChain", "GetChain", "ListChains", "DeleteChain"}) {
    const grpc::Status status = RawUnaryCall(
        channel, fmt::format("/tconv.v1.ChainService/{}", method), "\xff\xff\xff\xff\xff");
    EXPECT_EQ(status.error_code(), invalid) << method;
  }
  EXPECT_THAT(client_.ListChains(-1), StatusIs(StatusCode::kInvalidArgument));
  EXPECT_THAT(
      client_.Forward("decoder", Filled({1, 2, 2, 4}, 1)),
      StatusIs(StatusCode::kInvalidArgument, HasSubstr("input.shape: expected 3 channels")));
  EXPECT_THAT(client_.Forward("decoder", SmallInput()), IsOk());
}

TEST(ChainRestartTest, ChainsAreThereAfterARestart) {
  const TempFolder folder;
  server::ServerOptions options = DefaultOptions();
  options.store = "sqlite:" + folder / "layers.db";
  std::string described;
  {
    const auto server = TestServer::Start(options);
    const Client client(server->target());
    ASSERT_THAT(client.Create(SmallLayer("up", 1)), IsOk());
    const auto chain = client.CreateChain("decoder", {"up", Function("relu")});
    ASSERT_THAT(chain, IsOk());
    described = chain->DebugString();
  }
  const auto server = TestServer::Start(options);
  const Client client(server->target());
  EXPECT_EQ(client.GetChain("decoder")->DebugString(), described);
  EXPECT_THAT(*client.Forward("decoder", SmallInput())->output.values<float>(), Each(3.0F));
}

// The Sequential of a compiled Keras model, as it was recorded.
TEST(ChainGoldenTest, ASequentialOfKerasGivesItsOutput) {
  GoldenCase golden;
  golden.directory = TCONV_GOLDEN_FILES "/sequential-compiled";
  std::ifstream file(golden.directory + "/config_in_archive.json");
  const nlohmann::json model = nlohmann::json::parse(file);
  const auto server = TestServer::Start();
  const Client client(server->target());
  std::vector<ChainStep> steps;
  for (const auto& layer : model.at("config").at("layers")) {
    if (layer.at("class_name") == "InputLayer") continue;
    const std::string name = layer.at("config").at("name");
    ASSERT_THAT(client.Create({.name = name,
                               .definition = KerasJson{layer.dump()},
                               .weights = Weights{.kernel = golden.Array(name + "__kernel"),
                                                  .bias = golden.Array(name + "__bias")}}),
                IsOk());
    steps.emplace_back(name);
  }
  ASSERT_EQ(steps.size(), 2u);
  ASSERT_THAT(client.CreateChain("decoder", steps), IsOk());
  const auto result = client.Forward("decoder", golden.Array("input_0"));
  ASSERT_THAT(result, IsOk());
  ExpectClose(result->output, golden, "output_0", {{"rtol", 1e-5}, {"atol", 1e-6}});
}

}  // namespace
}  // namespace tconv::testing
