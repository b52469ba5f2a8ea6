#include "server/store/layer_row.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/store/chain_row.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/store/store_test_util.h"

namespace tconv::server {
namespace {

using testing::IsOk;
using testing::MakeOptimizer;
using testing::Record;
using testing::StatusIs;
using testing::WithSettings;

class LayerRowTest : public ::testing::Test {
 protected:
  const LayerRecord created_ = Record("up", testing::LayerConfigBuilder().Build(), 3, 5);
};

TEST_F(LayerRowTest, AnOptimizerLeavesTheDigestThatTheFirstReleaseCompares) {
  LayerRow row = RowOf(created_);
  const Digest digest = DigestOf(row);
  row.settings_version = 7;
  row.optimizer = RowOf(WithSettings(created_, true, MakeOptimizer({"Adam", {}}))).optimizer;
  EXPECT_EQ(DigestOf(row), digest);
  EXPECT_NE(DigestOfSettings(row), DigestOfSettings(RowOf(created_)));
}

TEST_F(LayerRowTest, ARowOfTheFirstReleaseIsIntactWithoutADigestOfItsSettings) {
  const LayerRow row = RowOf(created_);
  EXPECT_THAT(RecordOf(Verified(row, DigestOf(row), {})), IsOk());
}

TEST_F(LayerRowTest, SettingsNeedTheirDigest) {
  const LayerRow row = RowOf(WithSettings(created_, true, MakeOptimizer({"Adam", {}})));
  EXPECT_THAT(RecordOf(Verified(row, DigestOf(row), DigestOfSettings(row))), IsOk());
  EXPECT_THAT(RecordOf(Verified(row, DigestOf(row), {})), StatusIs(StatusCode::kDataLoss));
  LayerRow unversioned = row;
  unversioned.settings_version = 0;
  EXPECT_THAT(RecordOf(Verified(unversioned, DigestOf(row), DigestOfSettings(row))),
              StatusIs(StatusCode::kDataLoss));
}

TEST_F(LayerRowTest, AnOptimizerThatThisReleaseDoesNotKnowIsDamage) {
  LayerRow row = RowOf(WithSettings(created_, true, MakeOptimizer({"Adam", {}})));
  row.optimizer = std::string("\x0a\x04Lion", 6);
  EXPECT_THAT(RecordOf(Verified(row, DigestOf(row), DigestOfSettings(row))),
              StatusIs(StatusCode::kDataLoss, ::testing::HasSubstr("optimizer is not valid")));
}

TEST(ChainRowTest, ARowOfAChainIsNotOneOfALayer) {
  const ChainRecord chain = testing::ChainOf("decoder", {{"a", 7}, {"b", 9}});
  const LayerRow row = RowOf(chain);
  const StatusOr<ChainRecord> read = ChainOf(Verified(row, DigestOf(row), DigestOfSettings(row)));
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->steps, chain.steps);
  LayerRow turned = row;
  turned.kind = EntryKind::kLayer;
  EXPECT_NE(DigestOf(turned), DigestOf(row));
}

TEST(ChainRowTest, DamageIsToldOfTheChainAndKeepsNoLayer) {
  LayerRow layer = RowOf(Record("a", testing::LayerConfigBuilder().Build()));
  layer.id = 7;
  const LayerRow intact = RowOf(testing::ChainOf("decoder", {{"a", 7}}));
  LayerRow of_no_steps = intact;
  of_no_steps.config = std::string("\x0a\x00", 2);
  LayerRow of_no_function = intact;
  of_no_function.config = std::string(
      "\x0a\x07\x12\x05\x0a\x03"
      "abc",
      9);
  LayerRow damaged = intact;
  damaged.is_intact = false;
  EXPECT_THAT(CheckIsWithout(intact, layer), StatusIs(StatusCode::kFailedPrecondition));
  for (const LayerRow& row : {of_no_steps, of_no_function, damaged}) {
    LayerIndex index;
    AddTo(index, row);
    ASSERT_EQ(index.damaged.size(), 1u);
    EXPECT_EQ(index.damaged[0].kind, EntryKind::kChain);
    EXPECT_THAT(index.damaged[0].error,
                StatusIs(StatusCode::kDataLoss, ::testing::HasSubstr("chain \"decoder\"")));
    EXPECT_THAT(CheckIsWithout(row, layer), IsOk());
  }
}

}  // namespace
}  // namespace tconv::server
