#include "server/host/model_info.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "server/layer/activation.h"
#include "server/store/memory_store.h"
#include "tests/support/any_name.h"
#include "tests/support/layer_config_builder.h"
#include "tests/support/replica.h"
#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using testing::AnyName;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::LayerConfigBuilder;
using testing::OneByOne;
using testing::Replica;
using ::testing::SizeIs;
using testing::StatusIs;

ModelInfo InfoOf(const LayerConfig& config, int64_t in_channels) {
  const Layer layer({.name = "up",
                     .config = config,
                     .in_channels = in_channels,
                     .weights_version = in_channels > 0 ? 3 : 0,
                     .id = 5});
  return ModelOf(layer, OkStatus());
}

TEST(ModelInfoTest, TellsTheTensorsOfALayer) {
  const ModelInfo model = InfoOf(LayerConfigBuilder().Filters(8).DType("mixed_float16").Build(), 3);
  EXPECT_EQ(model.name, "up");
  EXPECT_EQ(model.id, 5);
  EXPECT_EQ(model.version, 3);
  EXPECT_EQ(model.dtype, DType::kFloat16);
  EXPECT_THAT(model.input_shape, ElementsAre(-1, -1, -1, 3));
  EXPECT_THAT(model.output_shape, ElementsAre(-1, -1, -1, 8));
}

TEST(ModelInfoTest, ChannelsAreWhereTheDataFormatHasThem) {
  LayerConfig config = LayerConfigBuilder().KernelSize({2, 2, 2}).Filters(8).Build();
  config.data_format = DataFormat::kChannelsFirst;
  const ModelInfo model = InfoOf(config, 3);
  EXPECT_THAT(model.input_shape, ElementsAre(-1, 3, -1, -1, -1));
  EXPECT_THAT(model.output_shape, ElementsAre(-1, 8, -1, -1, -1));
}

TEST(ModelInfoTest, ALayerThatIsNotBuiltTakesAnyChannels) {
  const ModelInfo model = InfoOf(LayerConfigBuilder().KernelSize({3}).Filters(8).Build(), 0);
  EXPECT_EQ(model.version, 0);
  EXPECT_THAT(model.input_shape, ElementsAre(-1, -1, -1));
  EXPECT_THAT(model.output_shape, ElementsAre(-1, -1, 8));
}

TEST(ModelInfoTest, TheOutputIsThatOfTheActivation) {
  LayerConfig config = LayerConfigBuilder().Filters(8).Build();
  config.activation = Activation::Make({"glu", {}}).value();
  EXPECT_THAT(InfoOf(config, 3).output_shape, ElementsAre(-1, -1, -1, 4));
}

TEST(ModelInfoTest, OnlyTheServedVersionIsServed) {
  EXPECT_THAT(CheckServedVersion("up", 3, 3), IsOk());
  for (const int64_t version : {2, 4}) {
    EXPECT_THAT(CheckServedVersion("up", 3, version),
                StatusIs(StatusCode::kNotFound, HasSubstr("\"up\" is served at version 3")));
  }
}

class UnloadedLayerTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_THAT(replica_.Create("up", 2), IsOk()); }

  LayerHost& host() { return replica_.host(); }

  StatusOr<int64_t> VersionOfForward(std::optional<int64_t> exact_version = std::nullopt) {
    ForwardJob job("up", pixel_, false);
    job.exact_version = exact_version;
    host().Forward(job);
    TCONV_RETURN_IF_ERROR(job.result.status());
    return job.result->weights_version;
  }

  MemoryStore store_{int64_t{1} << 30};
  Replica replica_{store_};
  const float one_ = 1;
  ViewSource pixel_{
      {DType::kFloat32, Shape({1, 1, 1, 1}), reinterpret_cast<const std::byte*>(&one_)}};
};

TEST_F(UnloadedLayerTest, IsUnavailableUntilItIsLoaded) {
  ASSERT_THAT(VersionOfForward(), IsOk());
  ASSERT_THAT(host().UnloadModel("up"), IsOk());
  EXPECT_EQ(host().facts().weights.entries, 0);
  EXPECT_THAT(VersionOfForward(), StatusIs(StatusCode::kUnavailable, HasSubstr("\"up\"")));
  EXPECT_THAT(host().GetWeights("up"), StatusIs(StatusCode::kUnavailable));
  EXPECT_THAT(host().StreamForward({"up", DType::kFloat32, Shape({1, 1, 1, 1})}).status(),
              StatusIs(StatusCode::kUnavailable));
  EXPECT_THAT(host().health().LayerStatus("up"), StatusIs(StatusCode::kUnavailable));
  EXPECT_THAT(host().DescribeModel("up")->state, StatusIs(StatusCode::kUnavailable));

  ASSERT_THAT(host().LoadModel("up"), IsOk());
  EXPECT_EQ(host().facts().weights.entries, 1) << "it is loaded when this is answered";
  EXPECT_THAT(host().health().LayerStatus("up"), IsOk());
  EXPECT_THAT(VersionOfForward(), IsOk());
}

TEST_F(UnloadedLayerTest, IsChangedInTheStoreAndNotHeld) {
  ASSERT_THAT(host().UnloadModel("up"), IsOk());
  ASSERT_THAT(replica_.Set("up", 3), IsOk());
  EXPECT_EQ(host().facts().weights.entries, 0);
  EXPECT_EQ(host().DescribeModel("up")->version, 2);
  ASSERT_THAT(host().LoadModel("up"), IsOk());
  EXPECT_EQ(*VersionOfForward(), 2);
}

TEST_F(UnloadedLayerTest, IsOfNoConcernToOthers) {
  Replica other(store_);
  ASSERT_THAT(host().UnloadModel("up"), IsOk());
  EXPECT_THAT(other.host().GetWeights("up"), IsOk());
}

TEST_F(UnloadedLayerTest, LoadingTwiceAndUnloadingTwiceChangeNothing) {
  for (int i = 0; i < 2; ++i) ASSERT_THAT(host().UnloadModel("up"), IsOk());
  for (int i = 0; i < 2; ++i) ASSERT_THAT(host().LoadModel("up"), IsOk());
  EXPECT_THAT(VersionOfForward(), IsOk());
}

TEST_F(UnloadedLayerTest, WhatDoesNotExistIsNotFound) {
  EXPECT_THAT(host().UnloadModel("none"), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(host().LoadModel("none"), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(host().DescribeModel("none"), StatusIs(StatusCode::kNotFound));
}

TEST_F(UnloadedLayerTest, ALayerThatTakesItsNameIsLoaded) {
  ASSERT_THAT(host().UnloadModel("up"), IsOk());
  ASSERT_THAT(host().Delete("up"), IsOk());
  ASSERT_THAT(replica_.Create("up", 2), IsOk());
  EXPECT_THAT(VersionOfForward(), IsOk());
}

TEST_F(UnloadedLayerTest, AForwardMayAskForOneVersionAlone) {
  EXPECT_EQ(*VersionOfForward(1), 1);
  EXPECT_THAT(VersionOfForward(2), StatusIs(StatusCode::kNotFound));
  ASSERT_THAT(replica_.Set("up", 3), IsOk());
  EXPECT_THAT(VersionOfForward(1), StatusIs(StatusCode::kNotFound));
  EXPECT_EQ(*VersionOfForward(2), 2);
}

TEST_F(UnloadedLayerTest, IsListedWithItsReason) {
  ASSERT_THAT(replica_.Create("other", 1), IsOk());
  ASSERT_THAT(host().UnloadModel("up"), IsOk());
  const std::vector<ModelInfo> models = host().ListModels(AnyName);
  ASSERT_THAT(models, SizeIs(2));
  EXPECT_EQ(models[0].name, "other");
  EXPECT_THAT(models[0].state, IsOk());
  EXPECT_EQ(models[1].name, "up");
  EXPECT_THAT(models[1].state, StatusIs(StatusCode::kUnavailable));
}

}  // namespace
}  // namespace tconv::server
