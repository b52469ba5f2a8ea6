#include "server/compute/compute_slots.h"

#include <utility>

namespace tconv::server {
namespace {

// Long against the time to switch threads and to fill a cache again, short
// against what a caller notices.
constexpr auto kQuantum = std::chrono::milliseconds(1);

thread_local ComputeSlot* slot_of_this_thread = nullptr;

}  // namespace

bool ComputeSlots::TryTake() {
  if (IsAwaited()) return false;
  int free = free_.load();
  while (free > 0 && !free_.compare_exchange_weak(free, free - 1)) {
  }
  return free > 0;
}

// Whoever waits counts itself before it looks at free_, and this looks for
// waiters after it counted the slot: one of both sees the other.
void ComputeSlots::Return() {
  ++free_;
  if (!IsAwaited()) return;
  MutexLock lock(mutex_);
  GiveFree();
}

void ComputeSlots::Await(Urgency urgency) {
  Waiter waiter{urgency};
  MutexLock lock(mutex_);
  Enqueue(waiter);
  GiveFree();
  while (!waiter.has_slot) waiter.got_slot.Wait(mutex_);
}

void ComputeSlots::GiveWay() {
  Waiter waiter{Urgency::kPressing};
  MutexLock lock(mutex_);
  Enqueue(waiter);
  GiveToFirst();
  while (!waiter.has_slot) waiter.got_slot.Wait(mutex_);
}

void ComputeSlots::Enqueue(Waiter& waiter) {
  queue_.push_back(&waiter);
  // Whoever sees that somebody waits sees also whether they press.
  if (waiter.urgency == Urgency::kPressing) ++pressing_;
  ++waiting_;
}

void ComputeSlots::GiveToFirst() {
  Waiter& first = *queue_.front();
  queue_.pop_front();
  --waiting_;
  if (first.urgency == Urgency::kPressing) --pressing_;
  first.has_slot = true;
  first.got_slot.NotifyOne();
}

void ComputeSlots::GiveFree() {
  int free = free_.load();
  while (!queue_.empty() && free > 0) {
    if (free_.compare_exchange_weak(free, free - 1)) GiveToFirst();
  }
}

ComputeSlot* ComputeSlot::OfThisThread(const ComputeSlots& slots) {
  ComputeSlot* slot = slot_of_this_thread;
  while (slot != nullptr && &slot->slots_ != &slots) slot = slot->outer_;
  return slot;
}

void ComputeSlot::Take(Urgency urgency) {
  if (!slots_.TryTake()) slots_.Await(urgency);
  Hold();
}

bool ComputeSlot::TryTake() {
  if (!slots_.TryTake()) return false;
  Hold();
  return true;
}

void ComputeSlot::Hold() {
  is_held_ = true;
  outer_ = std::exchange(slot_of_this_thread, this);
}

void ComputeSlot::Return() {
  if (!is_held_) return;
  is_held_ = false;
  slot_of_this_thread = outer_;
  pressed_since_ = {};
  slots_.Return();
  slots_.on_free_();
}

void ComputeSlot::GiveWayIfDue() {
  if (!gives_way_ || !slots_.IsPressed()) {
    pressed_since_ = {};
    return;
  }
  const auto now = std::chrono::steady_clock::now();
  if (pressed_since_ == std::chrono::steady_clock::time_point()) pressed_since_ = now;
  if (now - pressed_since_ < kQuantum) return;
  slots_.GiveWay();
  pressed_since_ = {};
}

}  // namespace tconv::server
