// Peers that are to send something, or to take it, in time.
#pragma once

#include <chrono>
#include <list>
#include <thread>

#include "server/base/mutex.h"

namespace tconv::server {

class AwaitedPeer;

// Tells calls whose peer has done nothing for too long: one that opens calls, and
// never sends what it called for, would keep their places for good. Thread-safe.
// All times are equal, so that whoever was awaited first is overdue first.
class ArrivalWatch {
 public:
  explicit ArrivalWatch(std::chrono::milliseconds limit);
  // REQUIRES: nobody is awaited.
  ~ArrivalWatch();
  ArrivalWatch(const ArrivalWatch&) = delete;
  ArrivalWatch& operator=(const ArrivalWatch&) = delete;

  std::chrono::milliseconds limit() const { return limit_; }

  // The time begins, also when it is running already.
  void Await(AwaitedPeer& peer);
  // The time ends. False when it did not run: its end has come before, and
  // OnOverdue() is called or was.
  bool Settle(AwaitedPeer& peer);
  // After this, `peer` is not touched any more. Waits for its OnOverdue() when that
  // is running on another thread.
  void Forget(AwaitedPeer& peer);

 private:
  using Clock = std::chrono::steady_clock;

  void Run();

  const std::chrono::milliseconds limit_;
  Mutex mutex_;
  CondVar changed_;
  CondVar told_;
  std::list<AwaitedPeer*> awaited_ TCONV_GUARDED_BY(mutex_);  // the next overdue one first
  AwaitedPeer* telling_ TCONV_GUARDED_BY(mutex_) = nullptr;   // whose OnOverdue() runs
  bool is_ending_ TCONV_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

// The other half: a call of the peer.
class AwaitedPeer {
 public:
  virtual ~AwaitedPeer() = default;

  // Nothing came. On a thread of the watch, which must not be held up.
  virtual void OnOverdue() = 0;

 private:
  friend class ArrivalWatch;

  // The watch's, and guarded by its mutex.
  bool is_awaited_ = false;
  std::list<AwaitedPeer*>::iterator place_;
  std::chrono::steady_clock::time_point end_;
};

}  // namespace tconv::server
