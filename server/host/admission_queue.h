// How many calls may be in the house at once, and the threads they run on.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <thread>
#include <vector>

#include "server/base/mutex.h"
#include "server/base/status.h"

namespace tconv::server {

// A call that wants to run. It belongs to whoever submits it. The queue does not
// touch it after Run() or Drop() began.
class QueuedCall {
 public:
  virtual ~QueuedCall() = default;

  // Memory that the call brings along, in bytes. Never changes.
  virtual int64_t bytes_held() const = 0;

  // An admitted call gets exactly one of the two: its turn on a handler thread,
  // or a cheap end because it was abandoned before.
  virtual void Run() = 0;
  virtual void Drop() = 0;
};

struct AdmissionLimits {
  int handler_threads = 4;  // > 0
  // Calls beyond one for each thread.
  int64_t max_waiting_calls = 1024;
  // Of all calls in the house.
  int64_t max_bytes = int64_t{4} << 30;
};

// First come, first served, by a fixed number of threads. A call is in the
// house from Submit() until Leave(), when its answer is delivered. A call beyond
// the limits is refused at once: a server that cannot keep up says so instead
// of collecting work that nobody will wait for. Thread-safe.
class AdmissionQueue {
 public:
  explicit AdmissionQueue(const AdmissionLimits& limits);
  // Runs what still waits. REQUIRES: no other method is running.
  ~AdmissionQueue();
  AdmissionQueue(const AdmissionQueue&) = delete;
  AdmissionQueue& operator=(const AdmissionQueue&) = delete;

  // OK: the call gets its Run() or Drop(), perhaps before this returns, and is
  // to Leave() after that. Else it gets neither, and does not.
  // RESOURCE_EXHAUSTED beyond a limit, UNAVAILABLE after Close().
  Status Submit(QueuedCall& call);
  void Leave(const QueuedCall& call);

  // Nobody waits for the answer any more. Drops an admitted call that still
  // waits for its turn; it is too late for the others.
  void Abandon(QueuedCall& call);

  // From now on every Submit() is refused. Calls in the house go on.
  void Close();

  // Waits until no call is in the house; false when `deadline` comes first.
  bool WaitUntilIdle(std::chrono::steady_clock::time_point deadline);

 private:
  void ServeCalls();
  Status CheckRoomFor(const QueuedCall& call) const TCONV_REQUIRES(mutex_);

  const AdmissionLimits limits_;
  Mutex mutex_;
  CondVar call_waits_;
  CondVar idle_;
  std::deque<QueuedCall*> waiting_ TCONV_GUARDED_BY(mutex_);
  int64_t calls_ TCONV_GUARDED_BY(mutex_) = 0;  // in the house
  int64_t bytes_ TCONV_GUARDED_BY(mutex_) = 0;  // that they hold
  bool is_closed_ TCONV_GUARDED_BY(mutex_) = false;
  bool is_stopping_ TCONV_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace tconv::server
