#include "server/compute/compute_slots.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace tconv::server {
namespace {

class ComputeSlotsTest : public ::testing::Test {
 protected:
  // Returns when the thread of `slots` waits.
  static void AwaitWaiter(const ComputeSlots& slots) {
    while (!slots.IsAwaited()) std::this_thread::yield();
  }

  std::atomic<int> freed_ = 0;
  ComputeSlots slots_{1, [this] { ++freed_; }};
};

TEST_F(ComputeSlotsTest, GivesAsManyAsThereAre) {
  ComputeSlots two(2, [] {});
  EXPECT_TRUE(two.TryTake());
  EXPECT_EQ(two.free(), 1);
  EXPECT_TRUE(two.TryTake());
  EXPECT_FALSE(two.TryTake());
  two.Return();
  EXPECT_TRUE(two.TryTake());
}

TEST_F(ComputeSlotsTest, AThreadFindsTheSlotThatItHolds) {
  ComputeSlots others(1, [] {});
  ComputeSlot slot(slots_);
  EXPECT_EQ(ComputeSlot::OfThisThread(slots_), nullptr);
  ASSERT_TRUE(slot.TryTake());
  ComputeSlot inner(others);
  ASSERT_TRUE(inner.TryTake());
  EXPECT_EQ(ComputeSlot::OfThisThread(slots_), &slot);
  EXPECT_EQ(ComputeSlot::OfThisThread(others), &inner);
  std::thread([&] { EXPECT_EQ(ComputeSlot::OfThisThread(slots_), nullptr); }).join();
  inner.Return();
  slot.Return();
  EXPECT_EQ(ComputeSlot::OfThisThread(slots_), nullptr);
}

TEST_F(ComputeSlotsTest, TellsThatASlotIsFree) {
  ComputeSlot slot(slots_);
  ASSERT_TRUE(slot.TryTake());
  EXPECT_EQ(freed_, 0);
  slot.Return();
  EXPECT_EQ(freed_, 1);
}

TEST_F(ComputeSlotsTest, NobodyOvertakesThoseThatWait) {
  ComputeSlot slot(slots_);
  ASSERT_TRUE(slot.TryTake());
  std::atomic<bool> may_end = false;
  std::thread waiter([&] {
    ComputeSlot later(slots_);
    later.Take(Urgency::kPatient);
    while (!may_end) std::this_thread::yield();
  });
  AwaitWaiter(slots_);
  slot.Return();
  EXPECT_FALSE(slot.TryTake());
  may_end = true;
  waiter.join();
  EXPECT_TRUE(slot.TryTake());
}

TEST_F(ComputeSlotsTest, MakesRoomForThoseThatPressAndGetsTheSlotBack) {
  ComputeSlot slot(slots_);
  ASSERT_TRUE(slot.TryTake());
  std::atomic<bool> had_it = false;
  std::thread waiter([&] {
    ComputeSlot later(slots_);
    later.Take(Urgency::kPressing);
    had_it = true;
  });
  while (!had_it) slot.GiveWayIfDue();
  waiter.join();
  EXPECT_TRUE(slot.is_held());
  EXPECT_FALSE(slots_.TryTake());
}

TEST_F(ComputeSlotsTest, MakesNoRoomForThePatient) {
  ComputeSlot slot(slots_);
  ASSERT_TRUE(slot.TryTake());
  std::atomic<bool> had_it = false;
  std::thread waiter([&] {
    ComputeSlot later(slots_);
    later.Take(Urgency::kPatient);
    had_it = true;
  });
  AwaitWaiter(slots_);
  // Longer than those that press would have to wait.
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(5);
  while (std::chrono::steady_clock::now() < end) slot.GiveWayIfDue();
  EXPECT_FALSE(had_it);
  slot.Return();
  waiter.join();
  EXPECT_TRUE(had_it);
}

TEST_F(ComputeSlotsTest, NeverGivesMoreThanThereAre) {
  ComputeSlots slots(2, [] {});
  std::atomic<int> holders = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 500; ++round) {
        ComputeSlot slot(slots);
        slot.Take(i % 2 == 0 ? Urgency::kPressing : Urgency::kPatient);
        EXPECT_LE(++holders, 2);
        --holders;
        slot.GiveWayIfDue();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(slots.free(), 2);
}

}  // namespace
}  // namespace tconv::server
