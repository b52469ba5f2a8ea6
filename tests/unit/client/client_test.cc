#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/client.h>

#include "tests/support/status_matchers.h"
#include "tests/unit/client/mock_connection.h"

namespace tconv {
namespace {

using tconv::testing::IsOk;
using tconv::testing::IsOkAndHolds;
using tconv::testing::MockConnection;
using tconv::testing::StatusIs;
using ::testing::_;
using ::testing::DoAll;
using ::testing::ElementsAre;
using ::testing::Property;
using ::testing::Return;
using ::testing::SaveArg;
using ::testing::SizeIs;
using ::testing::StrictMock;

Tensor Floats(Shape shape, std::initializer_list<float> values) {
  return *Tensor::FromValues<float>(std::move(shape), values);
}

class ClientTest : public ::testing::Test {
 protected:
  const std::shared_ptr<StrictMock<MockConnection>> connection_ =
      std::make_shared<StrictMock<MockConnection>>();
  const Client client_{connection_};
};

TEST_F(ClientTest, CreateSendsKerasJsonWithShapeAndWeights) {
  v1::CreateRequest request;
  v1::CreateResponse response;
  response.mutable_layer()->set_name("up1");
  EXPECT_CALL(*connection_, Create).WillOnce(DoAll(SaveArg<0>(&request), Return(response)));

  const auto layer = client_.Create({.name = "up1",
                                     .definition = KerasJson{"{}"},
                                     .input_shape = {-1, -1, 1},
                                     .weights = Weights{.kernel = Floats({1, 1, 1}, {2})}});

  EXPECT_THAT(layer, IsOkAndHolds(Property(&v1::Layer::name, "up1")));
  EXPECT_EQ(request.keras_json(), "{}");
  EXPECT_THAT(request.input_shape(), ElementsAre(-1, -1, 1));
  EXPECT_THAT(request.weights().kernel().shape(), ElementsAre(1, 1, 1));
  EXPECT_FALSE(request.weights().has_bias());
}

TEST_F(ClientTest, CreateSendsATypedConfiguration) {
  v1::LayerConfig config;
  config.set_filters(7);
  v1::CreateRequest request;
  EXPECT_CALL(*connection_, Create)
      .WillOnce(DoAll(SaveArg<0>(&request), Return(v1::CreateResponse())));

  EXPECT_THAT(client_.Create({.definition = config}), IsOk());

  EXPECT_EQ(request.config().filters(), 7);
  EXPECT_FALSE(request.has_weights());
}

TEST_F(ClientTest, SetWeightsSendsTheVersionOnlyWhenGiven) {
  v1::SetWeightsResponse response;
  response.set_weights_version(4);
  EXPECT_CALL(*connection_, SetWeights(Property(&v1::SetWeightsRequest::has_if_version, false), _))
      .WillOnce(Return(response));
  EXPECT_CALL(*connection_, SetWeights(Property(&v1::SetWeightsRequest::if_version, 3), _))
      .WillOnce(Return(response));

  EXPECT_THAT(client_.SetWeights("up1", {}), IsOkAndHolds(4));
  EXPECT_THAT(client_.SetWeights("up1", {}, 3), IsOkAndHolds(4));
}

TEST_F(ClientTest, GetWeightsTellsNoBiasFromBias) {
  v1::GetWeightsResponse response;
  *response.mutable_weights()->mutable_kernel() = Floats({1}, {5}).proto();
  response.set_weights_version(2);
  EXPECT_CALL(*connection_, GetWeights).WillOnce(Return(response));

  const auto weights = client_.GetWeights("up1");

  ASSERT_THAT(weights, IsOk());
  EXPECT_THAT(weights->weights.kernel.values<float>(), IsOkAndHolds(ElementsAre(5)));
  EXPECT_EQ(weights->weights.bias, std::nullopt);
  EXPECT_EQ(weights->version, 2);
}

TEST_F(ClientTest, ForwardReturnsOutputVersionAndLosses) {
  v1::ForwardResponse response;
  *response.mutable_output() = Floats({2}, {1, 2}).proto();
  response.set_weights_version(3);
  response.add_losses()->set_value(0.5);
  EXPECT_CALL(*connection_, Forward(Property(&v1::ForwardRequest::compute_losses, true), _))
      .WillOnce(Return(response));

  const auto result = client_.Forward("up1", Floats({1}, {1}), {.compute_losses = true});

  ASSERT_THAT(result, IsOk());
  EXPECT_THAT(result->output.values<float>(), IsOkAndHolds(ElementsAre(1, 2)));
  EXPECT_EQ(result->weights_version, 3);
  EXPECT_THAT(result->losses, SizeIs(1));
}

TEST_F(ClientTest, ForwardAsyncFulfilsTheFutureWithTheError) {
  Connection::ForwardCallback done;
  EXPECT_CALL(*connection_, ForwardAsync).WillOnce(SaveArg<2>(&done));
  auto future = client_.ForwardAsync("up1", Floats({1}, {1}));

  done(absl::NotFoundError("no up1"));

  EXPECT_THAT(future.get(), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ClientTest, ListAllFollowsThePageTokens) {
  v1::ListResponse first, last;
  first.add_layers()->set_name("a");
  first.set_next_page_token("more");
  last.add_layers()->set_name("b");
  EXPECT_CALL(*connection_, List(Property(&v1::ListRequest::page_token, ""), _))
      .WillOnce(Return(first));
  EXPECT_CALL(*connection_, List(Property(&v1::ListRequest::page_token, "more"), _))
      .WillOnce(Return(last));

  EXPECT_THAT(client_.ListAll(), IsOkAndHolds(ElementsAre(Property(&v1::Layer::name, "a"),
                                                          Property(&v1::Layer::name, "b"))));
}

TEST_F(ClientTest, PassesTheCallOptionsOn) {
  CallOptions options;
  EXPECT_CALL(*connection_, Delete)
      .WillOnce(DoAll(SaveArg<1>(&options), Return(v1::DeleteResponse())));

  EXPECT_THAT(client_.Delete("up1", {.timeout = std::chrono::seconds(7)}), IsOk());

  EXPECT_EQ(options.timeout, std::chrono::seconds(7));
}

}  // namespace
}  // namespace tconv
