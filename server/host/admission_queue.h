// How many calls may be in the house at once, and when each of them runs.
#pragma once

#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "server/base/mutex.h"
#include "server/base/status.h"
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
};

// A call is in the house from Enter() until Leave(), when its answer is
// delivered. Calls beyond the limits are refused at the door: a server that
// cannot keep up says so instead of collecting work that nobody will wait for.
// Inside, calls wait for their turn on one of a fixed number of threads. Flows
// take turns, and calls that can run together do. Thread-safe.
class AdmissionQueue {
 public:
  explicit AdmissionQueue(const AdmissionLimits& limits);
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
  // this returns. It may be submitted again after that. REQUIRES: Enter().
  void Submit(QueuedCall& call);
  // Nobody waits for the answer any more. Drops a call that still waits for its
  // turn; it is too late for the others.
  void Abandon(QueuedCall& call);

  // From now on every Enter() is refused. Calls in the house go on.
  void Close();
  // Waits until no call is in the house; false when `deadline` comes first.
  bool WaitUntilIdle(std::chrono::steady_clock::time_point deadline);

  int64_t calls() const;    // in the house
  int64_t bytes() const;    // that they hold
  int64_t waiting() const;  // for their turn

 private:
  void ServeCalls();
  Status CheckRoomFor(int64_t bytes) const TCONV_REQUIRES(mutex_);

  const AdmissionLimits limits_;
  mutable Mutex mutex_;
  CondVar call_waits_;
  CondVar idle_;
  FlowQueue queue_ TCONV_GUARDED_BY(mutex_);
  int64_t calls_ TCONV_GUARDED_BY(mutex_) = 0;
  int64_t bytes_ TCONV_GUARDED_BY(mutex_) = 0;
  bool is_closed_ TCONV_GUARDED_BY(mutex_) = false;
  bool is_stopping_ TCONV_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace tconv::server
