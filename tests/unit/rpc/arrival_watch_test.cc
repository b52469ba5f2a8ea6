#include "server/rpc/arrival_watch.h"

#include <gtest/gtest.h>

#include <chrono>
#include <latch>
#include <semaphore>
#include <thread>

namespace tconv::server {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kShort(5);
constexpr milliseconds kForever(std::chrono::hours(1));

class Peer final : public AwaitedPeer {
 public:
  void OnOverdue() override { told_.release(); }
  void AwaitOverdue() { told_.acquire(); }
  bool IsOverdue() { return told_.try_acquire(); }

 private:
  std::binary_semaphore told_{0};
};

TEST(ArrivalWatchTest, TellsWhoComesTooLate) {
  ArrivalWatch watch(kShort);
  Peer peer;
  watch.Await(peer);
  peer.AwaitOverdue();
  EXPECT_FALSE(watch.Settle(peer));
  watch.Forget(peer);
}

TEST(ArrivalWatchTest, SaysNothingToWhoComesInTime) {
  ArrivalWatch watch(kForever);
  Peer peer;
  watch.Await(peer);
  EXPECT_TRUE(watch.Settle(peer));
  EXPECT_FALSE(watch.Settle(peer));
  EXPECT_FALSE(peer.IsOverdue());
}

TEST(ArrivalWatchTest, AwaitsAnewAfterEachMessage) {
  ArrivalWatch watch(kShort);
  Peer peer;
  for (int i = 0; i < 3; ++i) {
    watch.Await(peer);
    peer.AwaitOverdue();
  }
  watch.Forget(peer);
}

TEST(ArrivalWatchTest, ForgettingWaitsForWhatIsBeingTold) {
  class SlowPeer final : public AwaitedPeer {
   public:
    void OnOverdue() override {
      entered.count_down();
      proceed.wait();
      is_done = true;
    }
    std::latch entered{1};
    std::latch proceed{1};
    bool is_done = false;
  };
  ArrivalWatch watch(kShort);
  SlowPeer peer;
  watch.Await(peer);
  peer.entered.wait();
  std::thread other([&] { peer.proceed.count_down(); });
  watch.Forget(peer);
  EXPECT_TRUE(peer.is_done);
  other.join();
}

TEST(ArrivalWatchTest, APeerMayForgetItselfWhileItIsTold) {
  class LastPeer final : public AwaitedPeer {
   public:
    explicit LastPeer(ArrivalWatch& watch) : watch_(watch) {}
    void OnOverdue() override {
      watch_.Forget(*this);
      told.count_down();
    }
    std::latch told{1};

   private:
    ArrivalWatch& watch_;
  };
  ArrivalWatch watch(kShort);
  LastPeer peer(watch);
  watch.Await(peer);
  peer.told.wait();
  watch.Forget(peer);
}

TEST(ArrivalWatchTest, OneThatCameInTimeDoesNotHideThoseBehindIt) {
  ArrivalWatch watch(kShort);
  Peer early, late;
  watch.Await(early);
  watch.Await(late);
  const bool came_in_time = watch.Settle(early);
  EXPECT_FALSE(came_in_time && early.IsOverdue());
  late.AwaitOverdue();
  watch.Forget(early);
  watch.Forget(late);
}

}  // namespace
}  // namespace tconv::server
