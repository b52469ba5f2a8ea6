#include "server/store/memory_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/layer_config_builder.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/store/store_test_util.h"

namespace tconv::server {
namespace {

using testing::Contents;
using testing::ContentsOf;
using testing::CreateBuilt;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::KeyOf;
using testing::RandomWeights;
using testing::Record;
using testing::StatusIs;

constexpr int64_t kMaxBytes = 10'000;
constexpr int64_t kHalf = 1'000;  // input channels whose kernel takes 4000 bytes

class MemoryStoreTest : public ::testing::Test {
 protected:
  const LayerConfig config_ = testing::LayerConfigBuilder().Build();
  MemoryStore store_{kMaxBytes};
};

TEST_F(MemoryStoreTest, RefusesWhatWouldExceedItsBoundAndKeepsTheRest) {
  ASSERT_THAT(CreateBuilt(store_, "a", config_, kHalf), IsOk());
  ASSERT_THAT(store_.Create(Record("b", config_), nullptr), IsOk());
  const Contents before = ContentsOf(store_);

  const auto full = StatusIs(StatusCode::kResourceExhausted, HasSubstr("at most 10000 bytes"));
  EXPECT_THAT(CreateBuilt(store_, "c", config_, 2 * kHalf), full);
  EXPECT_THAT(store_.PutWeights(KeyOf(store_, "b"), RandomWeights(config_, 2 * kHalf, 1), 0), full);
  EXPECT_EQ(ContentsOf(store_), before);
}

TEST_F(MemoryStoreTest, BoundsLayersWithoutWeightsToo) {
  Status status;
  int count = 0;
  for (; status.ok() && count < kMaxBytes; ++count) {
    status = store_.Create(Record(std::to_string(count), config_), nullptr).status();
  }
  EXPECT_THAT(status, StatusIs(StatusCode::kResourceExhausted));
}

TEST_F(MemoryStoreTest, ReplacedAndDeletedWeightsMakeRoom) {
  for (int round = 0; round < 10; ++round) {
    ASSERT_THAT(CreateBuilt(store_, "a", config_, kHalf), IsOk());
    ASSERT_THAT(store_.PutWeights(KeyOf(store_, "a"), RandomWeights(config_, kHalf, 2), 1), IsOk());
    ASSERT_THAT(store_.Delete("a"), IsOk());
  }
}

}  // namespace
}  // namespace tconv::server
