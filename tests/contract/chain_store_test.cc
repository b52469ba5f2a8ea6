// What every store promises of chains: the suite runs over all of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/store/layer_store.h"
#include "tests/contract/store_kinds.h"
#include "tests/support/layer_config_builder.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/store/store_test_util.h"

namespace tconv::server {
namespace {

using testing::ChainOf;
using testing::Contents;
using testing::ContentsOf;
using testing::CreateBuilt;
using testing::Describe;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::KeyOf;
using testing::RandomWeights;
using testing::StatusIs;
using testing::StoreKind;

class ChainStoreTest : public ::testing::TestWithParam<StoreKind> {
 protected:
  ChainStoreTest() { Open(); }

  void Open() {
    store_.reset();
    auto store = GetParam().open(folder_);
    ASSERT_THAT(store, IsOk());
    store_ = *std::move(store);
  }

  void Create(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      ASSERT_THAT(CreateBuilt(*store_, name, config_), IsOk());
    }
  }

  StatusOr<int64_t> CreateChain(const std::string& name, const std::vector<std::string>& layers) {
    std::vector<LayerKey> keys;
    for (const std::string& layer : layers) keys.push_back(KeyOf(*store_, layer));
    return store_->CreateChain(ChainOf(name, keys));
  }

  const LayerConfig config_ = testing::LayerConfigBuilder().Filters(3).Build();
  testing::TempFolder folder_;
  std::unique_ptr<LayerStore> store_;
};

INSTANTIATE_TEST_SUITE_P(, ChainStoreTest, ::testing::ValuesIn(testing::AllStoreKinds()),
                         [](const auto& kind) { return kind.param.name; });

TEST_P(ChainStoreTest, EveryStepComesBack) {
  Create({"a", "b"});
  const Activation leaky = Activation::Make({"leaky_relu", {{"negative_slope", 0.125}}}).value();
  ChainRecord chain = {.name = "decoder",
                       .steps = {KeyOf(*store_, "b"), leaky, KeyOf(*store_, "a"),
                                 KeyOf(*store_, "b"), Activation::Make({"tanh", {}}).value()}};
  const StatusOr<int64_t> id = store_->CreateChain(chain);
  ASSERT_THAT(id, IsOk());
  EXPECT_GT(*id, KeyOf(*store_, "b").id);

  if (GetParam().survives_closing) Open();
  const StatusOr<LayerIndex> index = store_->ReadIndex();
  ASSERT_THAT(index, IsOk());
  EXPECT_EQ(index->layers.size(), 2u);
  ASSERT_EQ(index->chains.size(), 1u);
  EXPECT_EQ(index->chains[0].id, *id);
  EXPECT_EQ(index->chains[0].name, "decoder");
  EXPECT_EQ(index->chains[0].steps, chain.steps);
}

TEST_P(ChainStoreTest, ANameIsThatOfALayerOrOfAChain) {
  Create({"a"});
  ASSERT_THAT(CreateChain("decoder", {"a"}), IsOk());
  const Contents before = ContentsOf(*store_);

  EXPECT_THAT(CreateChain("decoder", {"a"}),
              StatusIs(StatusCode::kAlreadyExists, HasSubstr("chain \"decoder\"")));
  EXPECT_THAT(CreateBuilt(*store_, "decoder", config_),
              StatusIs(StatusCode::kAlreadyExists, HasSubstr("chain \"decoder\"")));
  EXPECT_THAT(CreateChain("a", {"a"}),
              StatusIs(StatusCode::kAlreadyExists, HasSubstr("layer \"a\"")));
  EXPECT_EQ(ContentsOf(*store_), before);
}

TEST_P(ChainStoreTest, ALayerOfAChainIsNotDeletedBeforeTheChain) {
  Create({"a", "b", "free"});
  ASSERT_THAT(CreateChain("decoder", {"a", "b"}), IsOk());
  ASSERT_THAT(CreateChain("other", {"b"}), IsOk());

  const Contents before = ContentsOf(*store_);
  EXPECT_THAT(store_->Delete("a"),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("chain \"decoder\"")));
  EXPECT_EQ(ContentsOf(*store_), before);
  ASSERT_THAT(store_->Delete("free"), IsOk());
  ASSERT_THAT(store_->DeleteChain("decoder"), IsOk());
  ASSERT_THAT(store_->Delete("a"), IsOk());
  EXPECT_THAT(store_->Delete("b"),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("chain \"other\"")));
  ASSERT_THAT(store_->DeleteChain("other"), IsOk());
  ASSERT_THAT(store_->Delete("b"), IsOk());
  EXPECT_TRUE(ContentsOf(*store_).empty());
}

TEST_P(ChainStoreTest, AChainIsMadeOfTheLayersThatWereSeen) {
  Create({"a", "b"});
  const LayerKey a = KeyOf(*store_, "a");
  ASSERT_THAT(store_->Delete("a"), IsOk());
  const auto not_found = StatusIs(StatusCode::kNotFound, HasSubstr("layer \"a\""));
  EXPECT_THAT(store_->CreateChain(ChainOf("decoder", {KeyOf(*store_, "b"), a})), not_found);
  Create({"a"});
  EXPECT_THAT(store_->CreateChain(ChainOf("decoder", {KeyOf(*store_, "b"), a})), not_found);
  EXPECT_THAT(store_->ReadIndex()->chains, ::testing::IsEmpty());
}

TEST_P(ChainStoreTest, WhatIsNoChainIsNotDeletedAsOne) {
  Create({"a"});
  ASSERT_THAT(CreateChain("decoder", {"a"}), IsOk());
  const Contents before = ContentsOf(*store_);
  for (const char* name : {"a", "nobody"}) {
    EXPECT_THAT(store_->DeleteChain(name), StatusIs(StatusCode::kNotFound, HasSubstr("no chain")));
  }
  EXPECT_THAT(store_->Delete("decoder"), StatusIs(StatusCode::kNotFound, HasSubstr("no layer")));
  EXPECT_EQ(ContentsOf(*store_), before);
}

TEST_P(ChainStoreTest, IdsOfChainsAreNotUsedAgain) {
  Create({"a"});
  const StatusOr<int64_t> first = CreateChain("decoder", {"a"});
  ASSERT_THAT(first, IsOk());
  ASSERT_THAT(store_->DeleteChain("decoder"), IsOk());
  if (GetParam().survives_closing) Open();
  const StatusOr<int64_t> second = CreateChain("decoder", {"a"});
  ASSERT_THAT(second, IsOk());
  EXPECT_GT(*second, *first);
  ASSERT_THAT(store_->DeleteChain("decoder"), IsOk());
  const StatusOr<int64_t> layer = CreateBuilt(*store_, "decoder", config_);
  ASSERT_THAT(layer, IsOk());
  EXPECT_GT(*layer, *second);
}

TEST_P(ChainStoreTest, WeightsOfItsLayersGoOnChanging) {
  Create({"a"});
  ASSERT_THAT(CreateChain("decoder", {"a"}), IsOk());
  ASSERT_THAT(store_->PutWeights(KeyOf(*store_, "a"), RandomWeights(config_, 2, 2), 1), IsOk());
  EXPECT_EQ(store_->ReadIndex()->layers.at(0).weights_version, 2);
}

// A chain that is made while its layer is being deleted: one of both does not happen.
TEST_P(ChainStoreTest, NoChainIsLeftWithoutItsLayer) {
  for (int round = 0; round < 20; ++round) {
    Create({"a"});
    const ChainRecord chain = ChainOf("decoder", {KeyOf(*store_, "a")});
    Status created;
    Status deleted;
    {
      const std::jthread deleter([&] { deleted = store_->Delete("a"); });
      created = store_->CreateChain(chain).status();
    }
    EXPECT_NE(created.ok(), deleted.ok()) << created << " and " << deleted;
    EXPECT_EQ(store_->ReadIndex()->layers.size(), store_->ReadIndex()->chains.size());
    if (created.ok()) {
      ASSERT_THAT(store_->DeleteChain("decoder"), IsOk());
      ASSERT_THAT(store_->Delete("a"), IsOk());
    }
  }
}

}  // namespace
}  // namespace tconv::server
