// One budget of computing threads for everybody who computes.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>

#include "server/base/mutex.h"

namespace tconv::server {

// How a thread waits for a slot.
enum class Urgency : uint8_t {
  kPatient,   // until one is free
  kPressing,  // those that have computed for a while make room
};

// A fixed number of slots; a thread computes only while it has one. Slots go to
// the threads that wait for them in order of arrival, patient or pressing.
// Helpers, which take a slot only when nobody else wants it, ask IsAwaited()
// between two tasks and then return theirs. Thread-safe.
class ComputeSlots {
 public:
  // `on_free` hears of slots that become free when a ComputeSlot is returned.
  ComputeSlots(int count, std::function<void()> on_free)
      : count_(count), free_(count), on_free_(std::move(on_free)) {}

  int count() const { return count_; }

  // False when there is none, or when others wait.
  bool TryTake();
  void Return();

  int used() const { return count_ - free_.load(); }

  // That TryTake() would give.
  int free() const { return IsAwaited() ? 0 : free_.load(); }
  bool IsAwaited() const { return waiting_.load() > 0; }
  // Whether some of those that wait are pressing.
  bool IsPressed() const { return pressing_.load(std::memory_order_relaxed) > 0; }

 private:
  friend class ComputeSlot;

  struct Waiter {
    const Urgency urgency;
    bool has_slot = false;
    CondVar got_slot = {};
  };

  void Await(Urgency urgency);
  // Lets the others go first: as Return() and Await(kPressing), but that the
  // slot cannot go to anybody in between.
  void GiveWay();

  void Enqueue(Waiter& waiter) TCONV_REQUIRES(mutex_);
  void GiveToFirst() TCONV_REQUIRES(mutex_);
  void GiveFree() TCONV_REQUIRES(mutex_);

  const int count_;
  std::atomic<int> free_;
  std::atomic<int> waiting_ = 0;   // entries of queue_
  std::atomic<int> pressing_ = 0;  // those that are pressing
  const std::function<void()> on_free_;
  Mutex mutex_;
  std::deque<Waiter*> queue_ TCONV_GUARDED_BY(mutex_);
};

// The slot of one thread, which uses and destroys it, innermost first.
class ComputeSlot {
 public:
  // Without a slot yet. `slots` must outlive it. `gives_way`: a thread that must
  // not be held up keeps its slot until it returns it.
  explicit ComputeSlot(ComputeSlots& slots, bool gives_way = true)
      : slots_(slots), gives_way_(gives_way) {}
  ~ComputeSlot() { Return(); }
  ComputeSlot(const ComputeSlot&) = delete;
  ComputeSlot& operator=(const ComputeSlot&) = delete;

  // What this thread has of `slots`, or null.
  static ComputeSlot* OfThisThread(const ComputeSlots& slots);

  // REQUIRES, both: !is_held().
  void Take(Urgency urgency);
  bool TryTake();
  // Nothing when it is not held.
  void Return();
  bool is_held() const { return is_held_; }

  // To be called between two pieces of work: gives the slot to those that press
  // for it once they have waited for a quantum, and gets it back in its turn.
  // REQUIRES: is_held().
  void GiveWayIfDue();

 private:
  void Hold();

  ComputeSlots& slots_;
  const bool gives_way_;
  bool is_held_ = false;
  ComputeSlot* outer_ = nullptr;  // what the thread held before
  std::chrono::steady_clock::time_point pressed_since_{};
};

}  // namespace tconv::server
