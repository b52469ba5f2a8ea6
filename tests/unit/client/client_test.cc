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
using ::testing::Field;
using ::testing::Property;
using ::testing::Return;
using ::testing::SaveArg;
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

TEST_F(ClientTest, SetWeightsPassesTheVersionOnOnlyWhenGiven) {
  EXPECT_CALL(*connection_, SetWeights("up1", Field(&NewWeights::if_version, std::nullopt), _))
      .WillOnce(Return(4));
  EXPECT_CALL(*connection_, SetWeights("up1", Field(&NewWeights::if_version, 3), _))
      .WillOnce(Return(5));

  EXPECT_THAT(client_.SetWeights("up1", {}), IsOkAndHolds(4));
  EXPECT_THAT(client_.SetWeights("up1", {}, 3), IsOkAndHolds(5));
}

TEST_F(ClientTest, ForwardSharesTheElementsOfItsInput) {
  const Tensor input = Floats({2}, {1, 2});
  Tensor passed;
  EXPECT_CALL(*connection_, Forward("up1", _, _))
      .WillOnce(DoAll(SaveArg<1>(&passed), Return(ForwardResult{.weights_version = 3})));

  const auto result = client_.Forward("up1", input);

  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->weights_version, 3);
  EXPECT_EQ(passed.bytes().data(), input.bytes().data());
}

TEST_F(ClientTest, ForwardAsyncFulfilsTheFutureWithTheError) {
  Connection::ForwardCallback done;
  EXPECT_CALL(*connection_, ForwardAsync).WillOnce(SaveArg<3>(&done));
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

TEST_F(ClientTest, ListAllChainsFollowsThePageTokens) {
  v1::ListChainsResponse first, last;
  first.add_chains()->set_name("a");
  first.set_next_page_token("more");
  last.add_chains()->set_name("b");
  EXPECT_CALL(*connection_, ListChains(Property(&v1::ListChainsRequest::page_token, ""), _))
      .WillOnce(Return(first));
  EXPECT_CALL(*connection_, ListChains(Property(&v1::ListChainsRequest::page_token, "more"), _))
      .WillOnce(Return(last));

  EXPECT_THAT(client_.ListAllChains(), IsOkAndHolds(ElementsAre(Property(&v1::Chain::name, "a"),
                                                                Property(&v1::Chain::name, "b"))));
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
