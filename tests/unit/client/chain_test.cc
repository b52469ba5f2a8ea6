// The calls for chains, as they look on the wire.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/client.h>

#include <chrono>
#include <string>

#include "tests/support/status_matchers.h"
#include "tests/unit/client/fake_service.h"

namespace tconv {
namespace {

using absl::StatusCode;
using std::chrono::milliseconds;
using tconv::testing::FakeChainService;
using tconv::testing::FakeServer;
using tconv::testing::IsOk;
using tconv::testing::IsOkAndHolds;
using tconv::testing::StatusIs;
using ::testing::Property;
using ::testing::SizeIs;

v1::KerasObject LeakyRelu(double slope) {
  v1::KerasObject object;
  object.set_name("leaky_relu");
  (*object.mutable_arguments()->mutable_fields())["negative_slope"].set_number_value(slope);
  return object;
}

class ChainTest : public ::testing::Test {
 protected:
  FakeChainService& service() { return server_.chains; }

  FakeServer server_;
  const Client client_{
      server_.target,
      {.retry = {.attempts = 3, .first_delay = milliseconds(1), .max_delay = milliseconds(2)}}};
};

TEST_F(ChainTest, CreateChainSendsLayersAndActivationsInTheirOrder) {
  v1::CreateChainResponse answer;
  answer.mutable_chain()->set_weights_version(5);
  service().create_chain.Prepare(answer);

  EXPECT_THAT(client_.CreateChain("decoder", {"up1", LeakyRelu(0.25), "up2"}),
              IsOkAndHolds(Property(&v1::Chain::weights_version, 5)));

  const v1::CreateChainRequest request = service().create_chain.requests().at(0);
  EXPECT_EQ(request.name(), "decoder");
  ASSERT_THAT(request.steps(), SizeIs(3));
  EXPECT_EQ(request.steps(0).layer(), "up1");
  EXPECT_EQ(request.steps(1).activation().name(), "leaky_relu");
  EXPECT_EQ(request.steps(1).activation().arguments().fields().at("negative_slope").number_value(),
            0.25);
  EXPECT_EQ(request.steps(2).layer(), "up2");
}

TEST_F(ChainTest, GetChainAnswersTheChainOfThatName) {
  v1::GetChainResponse answer;
  answer.mutable_chain()->set_name("decoder");
  service().get_chain.Prepare(answer);
  EXPECT_THAT(client_.GetChain("decoder"), IsOkAndHolds(Property(&v1::Chain::name, "decoder")));
  EXPECT_EQ(service().get_chain.requests().at(0).name(), "decoder");
}

TEST_F(ChainTest, ListChainsAsksForOnePage) {
  v1::ListChainsResponse answer;
  answer.set_next_page_token("more");
  service().list_chains.Prepare(answer);
  EXPECT_THAT(client_.ListChains(7, "there"),
              IsOkAndHolds(Property(&v1::ListChainsResponse::next_page_token, "more")));
  EXPECT_EQ(service().list_chains.requests().at(0).page_size(), 7);
  EXPECT_EQ(service().list_chains.requests().at(0).page_token(), "there");
}

TEST_F(ChainTest, DeleteChainNamesTheChain) {
  ASSERT_THAT(client_.DeleteChain("decoder"), IsOk());
  EXPECT_EQ(service().delete_chain.requests().at(0).name(), "decoder");
}

TEST_F(ChainTest, RepeatsTheCallsThatOnlyRead) {
  service().get_chain.Prepare({}, /*failures=*/2);
  EXPECT_THAT(client_.GetChain("decoder"), IsOk());
  EXPECT_THAT(service().get_chain.requests(), SizeIs(3));
  service().list_chains.Prepare({}, /*failures=*/2);
  EXPECT_THAT(client_.ListAllChains(), IsOkAndHolds(SizeIs(0)));
  EXPECT_THAT(service().list_chains.requests(), SizeIs(3));
}

TEST_F(ChainTest, DoesNotRepeatTheCallsThatChange) {
  service().create_chain.Prepare({}, /*failures=*/1);
  EXPECT_THAT(client_.CreateChain("decoder", {"up1"}), StatusIs(StatusCode::kUnavailable));
  EXPECT_THAT(service().create_chain.requests(), SizeIs(1));
  service().delete_chain.Prepare({}, /*failures=*/1);
  EXPECT_THAT(client_.DeleteChain("decoder"), StatusIs(StatusCode::kUnavailable));
  EXPECT_THAT(service().delete_chain.requests(), SizeIs(1));
}

}  // namespace
}  // namespace tconv
