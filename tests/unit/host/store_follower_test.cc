#include "server/host/store_follower.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <vector>

#include "server/store/memory_store.h"
#include "tests/support/layer_config_builder.h"
#include "tests/support/status_matchers.h"
#include "tests/support/store_link.h"

namespace tconv::server {
namespace {

using tconv::testing::IsOk;
using tconv::testing::LayerConfigBuilder;
using tconv::testing::StatusIs;
using tconv::testing::StoreLink;

class StoreFollowerTest : public ::testing::Test {
 protected:
  void Create(const std::string& name) {
    ASSERT_THAT(store_.Create({.name = name, .config = LayerConfigBuilder().Build()}, nullptr),
                IsOk());
  }

  void TakeLook(const StatusOr<StoreChanges>& look) {
    MutexLock lock(mutex_);
    is_away_ = !look.ok();
    if (look.ok()) layers_ += look->changed.layers.size();
    heard_.NotifyAll();
  }

  size_t layers() {
    MutexLock lock(mutex_);
    return layers_;
  }
  void AwaitLayers(size_t count) {
    MutexLock lock(mutex_);
    while (layers_ < count) heard_.Wait(mutex_);
  }
  void AwaitAway(bool is_away) {
    MutexLock lock(mutex_);
    while (is_away_ != is_away) heard_.Wait(mutex_);
  }

  MemoryStore store_{int64_t{1} << 20};
  StoreLink link_{store_};
  Mutex mutex_;
  CondVar heard_;
  size_t layers_ TCONV_GUARDED_BY(mutex_) = 0;
  bool is_away_ TCONV_GUARDED_BY(mutex_) = false;
  StoreFollower follower_{link_.Follow(0), [this](StatusOr<StoreChanges> look) { TakeLook(look); }};
};

TEST_F(StoreFollowerTest, HearsOfChangesByItself) {
  Create("first");
  AwaitLayers(1);
  Create("second");
  AwaitLayers(2);
}

TEST_F(StoreFollowerTest, HasHeardOfEverythingOnceItHasCaughtUp) {
  for (size_t i = 1; i <= 100; ++i) {
    Create("layer" + std::to_string(i));
    ASSERT_THAT(follower_.CatchUp(), IsOk());
    ASSERT_EQ(layers(), i);
  }
}

TEST_F(StoreFollowerTest, ManyCatchUpAtOnce) {
  Create("layer");
  std::vector<std::future<Status>> waiting;
  for (int i = 0; i < 8; ++i) {
    waiting.push_back(std::async(std::launch::async, [&] { return follower_.CatchUp(); }));
  }
  for (auto& caught_up : waiting) EXPECT_THAT(caught_up.get(), IsOk());
  EXPECT_EQ(layers(), 1u);
}

TEST_F(StoreFollowerTest, TellsAtOnceThatTheStoreIsAwayAndGoesOnWhenItIsBack) {
  link_.Cut();
  AwaitAway(true);
  const Status away = follower_.CatchUp();
  EXPECT_THAT(away, StatusIs(StatusCode::kUnavailable));
  EXPECT_TRUE(RetryDelayOf(away).has_value());
  EXPECT_EQ(follower_.CheckReachable(), away);
  Create("layer");
  link_.Mend();
  AwaitLayers(1);
  AwaitAway(false);
  EXPECT_THAT(follower_.CheckReachable(), IsOk());
  EXPECT_THAT(follower_.CatchUp(), IsOk());
}

}  // namespace
}  // namespace tconv::server
