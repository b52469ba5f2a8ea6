#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/cli/json.h"
#include "tests/unit/client/tool_fixture.h"

namespace tconv::cli {
namespace {

using ::testing::_;
using ::testing::DoAll;
using ::testing::HasSubstr;
using ::testing::Property;
using ::testing::Return;
using ::testing::SaveArg;
using ::testing::SizeIs;

class ChainToolTest : public ToolTest {};

v1::Chain Decoder() {
  v1::Chain chain;
  chain.set_name("decoder");
  chain.add_steps()->set_layer("up1");
  v1::KerasObject& activation = *chain.add_steps()->mutable_activation();
  activation.set_name("leaky_relu");
  (*activation.mutable_arguments()->mutable_fields())["negative_slope"].set_number_value(0.25);
  for (const int64_t extent : {-1, -1, -1, 64}) chain.add_input_shape(extent);
  for (const int64_t extent : {-1, -1, -1, 3}) chain.add_output_shape(extent);
  chain.set_output_dtype(v1::DATA_TYPE_FLOAT16);
  chain.set_data_format(v1::DATA_FORMAT_CHANNELS_LAST);
  chain.set_weights_version(7);
  chain.set_keras_json(R"({"class_name": "Sequential"})");
  return chain;
}

TEST_F(ChainToolTest, CreatesAChainOfLayersAndFunctions) {
  v1::CreateChainRequest request;
  v1::CreateChainResponse answer;
  *answer.mutable_chain() = Decoder();
  EXPECT_CALL(*connection_, CreateChain).WillOnce(DoAll(SaveArg<0>(&request), Return(answer)));
  EXPECT_EQ(Run({"create-chain", "decoder", "up1", "@relu", "up2",
                 "@leaky_relu negative_slope=0.25", "--json"}),
            0);
  EXPECT_EQ(request.name(), "decoder");
  ASSERT_THAT(request.steps(), SizeIs(4));
  EXPECT_EQ(request.steps(0).layer(), "up1");
  EXPECT_EQ(request.steps(1).activation().name(), "relu");
  EXPECT_EQ(request.steps(2).layer(), "up2");
  EXPECT_EQ(request.steps(3).activation().arguments().fields().at("negative_slope").number_value(),
            0.25);
  EXPECT_EQ(Json::parse(out())["keras_json"]["class_name"], "Sequential");
}

TEST_F(ChainToolTest, RefusesStepsThatAreNone) {
  for (const char* step : {"@", "@relu slope", "@relu slope=x"}) {
    EXPECT_EQ(Run({"create-chain", "decoder", "up1", step}), 2) << step;
    EXPECT_THAT(err(), HasSubstr("steps: expected a name and JSON values"));
  }
  EXPECT_EQ(Run({"create-chain", "decoder"}), 2);
}

TEST_F(ChainToolTest, DescribesAChain) {
  v1::GetChainResponse answer;
  *answer.mutable_chain() = Decoder();
  EXPECT_CALL(*connection_, GetChain(Property(&v1::GetChainRequest::name, "decoder"), _))
      .WillOnce(Return(answer));
  EXPECT_EQ(Run({"get-chain", "decoder"}), 0);
  EXPECT_EQ(out(),
            "name             decoder\n"
            "input shape      (None, None, None, 64)\n"
            "output shape     (None, None, None, 3)\n"
            "output type      float16\n"
            "data format      channels_last\n"
            "weights version  7\n"
            "step 1           up1\n"
            "step 2           @leaky_relu negative_slope=0.25\n");
}

TEST_F(ChainToolTest, ListsEveryPageOfChains) {
  v1::ListChainsResponse first, second;
  *first.add_chains() = Decoder();
  first.set_next_page_token("more");
  second.add_chains()->set_name("other");
  EXPECT_CALL(*connection_, ListChains)
      .WillOnce(Return(first))
      .WillOnce(Return(second))
      .WillOnce(Return(v1::ListChainsResponse()));
  EXPECT_EQ(Run({"list-chains", "--json"}), 0);
  const Json list = Json::parse(out());
  ASSERT_THAT(list["chains"], SizeIs(2));
  EXPECT_EQ(list["chains"][1]["name"], "other");
  EXPECT_EQ(Run({"list-chains"}), 0);
  EXPECT_EQ(out(), "NAME  STEPS  INPUT  OUTPUT  VERSION  DTYPE\n");
}

TEST_F(ChainToolTest, DeletesAChain) {
  EXPECT_CALL(*connection_, DeleteChain(Property(&v1::DeleteChainRequest::name, "decoder"), _))
      .WillOnce(Return(v1::DeleteChainResponse()))
      .WillOnce(Return(absl::NotFoundError("no chain \"decoder\"")));
  EXPECT_EQ(Run({"delete-chain", "decoder"}), 0);
  EXPECT_EQ(out(), "deleted decoder\n");
  EXPECT_EQ(Run({"delete-chain", "decoder"}), 4);
}

}  // namespace
}  // namespace tconv::cli
