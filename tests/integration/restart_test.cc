// What survives the end of a server.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/client.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/support/proto_equal.h"
#include "tests/support/small_layer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test_server.h"

namespace tconv::testing {
namespace {

using ::testing::Each;

void ExpectOutput(const Client& client, const std::string& layer, float value) {
  const auto result = client.Forward(layer, SmallInput());
  ASSERT_THAT(result, IsOk());
  EXPECT_THAT(*result->output.values<float>(), Each(value));
}

class RestartTest : public ::testing::Test {
 protected:
  RestartTest() { Restart(); }

  void Restart() {
    server_.reset();
    server::ServerOptions options;
    options.store = fmt::format("sqlite:{}", folder_ / "layers.db");
    server_ = TestServer::Start(options);
    client_ = std::make_unique<Client>(server_->target());
  }

  const TempFolder folder_;
  std::unique_ptr<TestServer> server_;
  std::unique_ptr<Client> client_;
};

TEST_F(RestartTest, KeepsDescriptionsWeightsAndOutputsBitForBit) {
  ASSERT_THAT(client_->Create({.name = "plain", .definition = SmallConfig()}), IsOk());
  ASSERT_THAT(
      client_->Create({.name = "up", .definition = SmallConfig(), .input_shape = {-1, -1, -1, 3}}),
      IsOk());
  ASSERT_THAT(client_->Create(SmallLayer("set", 1)), IsOk());
  ASSERT_THAT(client_->SetWeights("set", SmallWeights(0.1F)), IsOkAndHolds(2));
  const auto layers = client_->ListAll();
  const auto weights = client_->GetWeights("up");
  const auto output = client_->Forward("up", SmallInput());
  ASSERT_THAT(output, IsOk());

  Restart();
  const auto layers_again = client_->ListAll();
  ASSERT_EQ(layers_again->size(), 3);
  for (size_t i = 0; i < layers->size(); ++i) {
    v1::Layer before = (*layers)[i];
    before.set_weight_bytes_held(0);  // weights are read when they are needed
    EXPECT_TRUE(ProtosEqual(before, (*layers_again)[i]));
  }
  const auto output_again = client_->Forward("up", SmallInput());
  ASSERT_THAT(output_again, IsOk());
  EXPECT_EQ(output_again->output.bytes(), output->output.bytes());
  const auto weights_again = client_->GetWeights("up");
  ASSERT_THAT(weights_again, IsOk());
  EXPECT_EQ(weights_again->version, weights->version);
  EXPECT_EQ(weights_again->weights.kernel.bytes(), weights->weights.kernel.bytes());
  EXPECT_EQ(weights_again->weights.bias->bytes(), weights->weights.bias->bytes());
}

TEST_F(RestartTest, GoesOnCountingVersions) {
  ASSERT_THAT(client_->Create(SmallLayer("up", 1)), IsOk());
  Restart();
  EXPECT_THAT(client_->SetWeights("up", SmallWeights(2), 1), IsOkAndHolds(2));
  Restart();
  EXPECT_THAT(client_->SetWeights("up", SmallWeights(3)), IsOkAndHolds(3));
}

TEST_F(RestartTest, ADeletedLayerStaysDeleted) {
  ASSERT_THAT(client_->Create(SmallLayer("up", 1)), IsOk());
  ASSERT_THAT(client_->Delete("up"), IsOk());
  Restart();
  const auto layers = client_->ListAll();
  ASSERT_THAT(layers, IsOk());
  EXPECT_TRUE(layers->empty());
}

TEST_F(RestartTest, WeightsThatDoNotFitInMemoryAreReadAgainWhenTheyAreUsed) {
  server_.reset();
  server::ServerOptions options;
  options.store = fmt::format("sqlite:{}", folder_ / "layers.db");
  options.host.max_loaded_weight_bytes = 300;  // of one layer
  server_ = TestServer::Start(options);
  const Client client(server_->target());
  ASSERT_THAT(client.Create(SmallLayer("a", 1)), IsOk());
  ASSERT_THAT(client.Create(SmallLayer("b", 2)), IsOk());
  for (int i = 0; i < 3; ++i) {
    ExpectOutput(client, "a", 3);
    ExpectOutput(client, "b", 6);
  }
}

}  // namespace
}  // namespace tconv::testing
