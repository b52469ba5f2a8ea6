#include "server/store/layer_row.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace tconv::server
