#include "server/host/layer_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/support/any_name.h"
#include "tests/support/layer_config_builder.h"
#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using tconv::testing::IsOk;
using tconv::testing::IsOkAndHolds;
using tconv::testing::LayerConfigBuilder;
using tconv::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::IsNull;
using ::testing::NotNull;

class LayerRegistryTest : public ::testing::Test {
 protected:
  Registered Add(const std::string& name, int64_t id) {
    return registry_.Add({.name = name, .config = LayerConfigBuilder().Build(), .id = id});
  }
  Registered AddDamaged(const std::string& name, int64_t id) {
    return registry_.AddDamaged(
        {.name = name, .id = id, .error = MakeError(StatusCode::kDataLoss, "damaged")});
  }
  std::vector<int64_t> CatchUp(int64_t revision, std::vector<int64_t> living) {
    std::vector<int64_t> erased;
    for (const auto& layer : registry_.CatchUp(revision, living)) erased.push_back(layer->id());
    return erased;
  }

  LayerRegistry registry_;
};

TEST_F(LayerRegistryTest, ThereIsOneLayerForEachId) {
  const auto layer = Add("up", 1).layer;
  ASSERT_THAT(layer, NotNull());
  EXPECT_EQ(Add("up", 1).layer, layer);
  EXPECT_THAT(registry_.Find("up"), IsOkAndHolds(layer));
}

TEST_F(LayerRegistryTest, AnIdThatIsHigherTakesTheName) {
  const auto layer = Add("up", 1).layer;
  const Registered later = Add("up", 4);
  EXPECT_EQ(later.replaced, layer);
  const Registered earlier = Add("up", 2);
  EXPECT_THAT(earlier.layer, IsNull());
  EXPECT_THAT(earlier.replaced, IsNull());
  EXPECT_THAT(registry_.Find("up"), IsOkAndHolds(later.layer));
}

TEST_F(LayerRegistryTest, AnUnknownIdUpToTheRevisionIsOfADeletedLayer) {
  ASSERT_THAT(CatchUp(7, {}), IsEmpty());
  EXPECT_THAT(Add("up", 7).layer, IsNull());
  EXPECT_THAT(AddDamaged("up", 6).layer, IsNull());
  EXPECT_THAT(registry_.Find("up"), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(Add("up", 8).layer, NotNull());
}

TEST_F(LayerRegistryTest, WhatDoesNotLiveAnyMoreIsErased) {
  for (const int64_t id : {1, 2, 3, 9}) Add("layer" + std::to_string(id), id);
  AddDamaged("damaged4", 4);
  // The ninth is newer than the news.
  EXPECT_THAT(CatchUp(8, {2}), ElementsAre(1, 3));
  EXPECT_EQ(registry_.size(), 2);
  EXPECT_THAT(registry_.Find("layer2"), IsOk());
  EXPECT_THAT(registry_.Find("layer9"), IsOk());
  EXPECT_THAT(registry_.Find("damaged4"), StatusIs(StatusCode::kNotFound));
}

TEST_F(LayerRegistryTest, AStoreThatWasPutBackIsLearnedAnew) {
  const auto layer = Add("up", 3).layer;
  ASSERT_THAT(CatchUp(7, {3}), IsEmpty());
  EXPECT_THAT(registry_.GoBack(7), IsEmpty());
  EXPECT_THAT(registry_.GoBack(5), ElementsAre(layer));
  EXPECT_NE(Add("up", 3).layer, layer);
}

TEST_F(LayerRegistryTest, ErasesALayerOnlyIfItStillHasTheName) {
  Add("up", 1);
  const auto later = Add("up", 4).layer;
  EXPECT_THAT(registry_.Erase({"up", 1}), IsNull());
  EXPECT_EQ(registry_.Erase({"up", 4}), later);
  EXPECT_THAT(registry_.Find("up"), StatusIs(StatusCode::kNotFound));
}

TEST_F(LayerRegistryTest, ADamagedLayerKeepsItsNameAndIsNotListed) {
  const auto layer = Add("up", 1).layer;
  EXPECT_EQ(AddDamaged("up", 1).replaced, layer);
  Add("other", 2);
  EXPECT_THAT(registry_.Find("up"), StatusIs(StatusCode::kDataLoss));
  EXPECT_THAT(registry_.IdOf("up", EntryKind::kLayer), IsOkAndHolds(1));
  EXPECT_THAT(registry_.After("", 10, testing::AnyName), ::testing::SizeIs(1));
}

}  // namespace
}  // namespace tconv::server
