// How many calls may be in the house at once, and when each of them runs.
#pragma once

#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "server/base/mutex.h"
#include "server/base/status.h"
#include "server/compute/compute_slots.h"
#include "server/host/flow_queue.h"
#include "server/host/queued_call.h"

namespace tconv::server {

struct AdmissionLimits {
  int handler_threads = 4;  // > 0
  // Calls beyond one for each thread.
  int64_t max_waiting_calls = 1024;
  // Of all calls in the house.
  int64_t max_bytes = int64_t{4} << 30;
  // Calls that run together, at most; 1: each runs alone.
  int max_batch = 32;
  // How long a call that is about to run waits for others to run with, while
  // some are in the house that neither wait nor run.
  std::chrono::microseconds batch_delay{0};
};

// A call is in the house from Enter() until Leave(), when its answer is
// delivered. Calls beyond the limits are refused at the door: a server that
// cannot keep up says so instead of collecting work that nobody will wait for.
// Inside, calls wait for their turn on one of a fixed number of threads. Flows
// take turns, and calls that can run together do. Thread-safe.
//
// A thread first gets a slot to compute with and then takes the calls: while all
// slots are in use calls gather, and the thread that gets the next one takes
// along what has gathered. It presses for the slot only when a flow waits of
// which nothing runs, or a call that is known to be short: so that these need
// not wait for the end of a huge one, while calls that could run together are not
// torn into small groups that take slots from each other.
class AdmissionQueue {
 public:
  // `slots`, if any, must outlive the queue: calls that compute hold one while
  // they run.
  explicit AdmissionQueue(const AdmissionLimits& limits, ComputeSlots* slots = nullptr);
  // Runs what still waits. REQUIRES: no other method is running.
  ~AdmissionQueue();
  AdmissionQueue(const AdmissionQueue&) = delete;
  AdmissionQueue& operator=(const AdmissionQueue&) = delete;

  // A call with a payload of so many bytes comes into the house. Unless OK it
  // stays outside: RESOURCE_EXHAUSTED beyond a limit, with a RetryDelayOf();
  // UNAVAILABLE after Close().
  Status Enter(int64_t bytes);
  // Its payload is larger than was told. RESOURCE_EXHAUSTED: it is not to grow.
  Status Enlarge(int64_t more_bytes);
  // Its answer is delivered, or it gives up; `bytes` with all that was added.
  void Leave(int64_t bytes);

  // The call waits for its turn, and gets its Run() or Drop(), perhaps before
  // this returns: a short one runs at once on this thread if it can, and one
  // whose deadline is sure to pass is dropped. It may be submitted again after
  // that. REQUIRES: Enter().
  void Submit(QueuedCall& call);
  // Nobody waits for the answer any more. Drops a call that still waits for its
  // turn; it is too late for the others.
  void Abandon(QueuedCall& call);

  // From now on every Enter() is refused. Calls in the house go on.
  void Close();
  // Waits until no call is in the house; false when `deadline` comes first.
  bool WaitUntilIdle(std::chrono::steady_clock::time_point deadline);

  const AdmissionLimits& limits() const { return limits_; }
  int64_t calls() const;    // in the house
  int64_t bytes() const;    // that they hold
  int64_t waiting() const;  // for their turn

 private:
  void ServeCalls();
  // Whether a thread, without a slot, has something to do.
  bool HasWork() const TCONV_REQUIRES(mutex_);
  bool NeedsSlot(const QueuedCall& call) const { return slots_ != nullptr && call.computes(); }
  Urgency UrgencyOfNext() const TCONV_REQUIRES(mutex_);
  // Lets go of the mutex while it waits.
  void AwaitSlot(ComputeSlot& slot) TCONV_REQUIRES(mutex_);
  // Runs what is next as long as it needs what `slot` holds.
  void ServeTurns(ComputeSlot* slot) TCONV_REQUIRES(mutex_);
  void AwaitCompany(FlowQueue::Group& group, std::vector<QueuedCall*>& expired)
      TCONV_REQUIRES(mutex_);

  // Whether a short call is to run on the thread that submits it; takes `slot`.
  bool TakeSlotForShort(const QueuedCall& call, ComputeSlot& slot) TCONV_REQUIRES(mutex_);
  // OK, or why the call is not worth waiting.
  Status CheckDeadline(const QueuedCall& call) const TCONV_REQUIRES(mutex_);
  Status CheckRoomFor(int64_t bytes) const TCONV_REQUIRES(mutex_);
  // In which as many calls leave as are in the house.
  std::chrono::milliseconds RetryDelay() const TCONV_REQUIRES(mutex_);

  const AdmissionLimits limits_;
  ComputeSlots* const slots_;
  mutable Mutex mutex_;
  CondVar call_waits_;
  CondVar company_;
  CondVar idle_;
  FlowQueue queue_ TCONV_GUARDED_BY(mutex_);
  int64_t calls_ TCONV_GUARDED_BY(mutex_) = 0;
  int64_t bytes_ TCONV_GUARDED_BY(mutex_) = 0;
  int64_t running_ TCONV_GUARDED_BY(mutex_) = 0;  // calls that have their turn
  // Whether a thread waits for a slot; one of each urgency is enough.
  bool is_patient_ TCONV_GUARDED_BY(mutex_) = false;
  bool is_pressing_ TCONV_GUARDED_BY(mutex_) = false;
  // Between two calls that leave, on average, while there are any.
  std::chrono::nanoseconds mean_gap_ TCONV_GUARDED_BY(mutex_){0};
  std::chrono::steady_clock::time_point gap_begin_ TCONV_GUARDED_BY(mutex_);
  bool is_closed_ TCONV_GUARDED_BY(mutex_) = false;
  bool is_stopping_ TCONV_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace tconv::server
