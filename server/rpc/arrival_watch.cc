#include "server/rpc/arrival_watch.h"

#include <utility>

namespace tconv::server {

ArrivalWatch::ArrivalWatch(std::chrono::milliseconds limit)
    : limit_(limit), thread_([this] { Run(); }) {}

ArrivalWatch::~ArrivalWatch() {
  {
    MutexLock lock(mutex_);
    is_ending_ = true;
  }
  changed_.NotifyAll();
  thread_.join();
}

void ArrivalWatch::Await(AwaitedPeer& peer) {
  bool is_first = false;
  {
    MutexLock lock(mutex_);
    peer.end_ = Clock::now() + limit_;
    if (peer.is_awaited_) {
      awaited_.splice(awaited_.end(), awaited_, peer.place_);
      return;
    }
    is_first = awaited_.empty();
    peer.is_awaited_ = true;
    peer.place_ = awaited_.insert(awaited_.end(), &peer);
  }
  // Else the thread wakes up for an earlier one anyway.
  if (is_first) changed_.NotifyOne();
}

bool ArrivalWatch::Settle(AwaitedPeer& peer) {
  MutexLock lock(mutex_);
  if (!std::exchange(peer.is_awaited_, false)) return false;
  awaited_.erase(peer.place_);
  return true;
}

void ArrivalWatch::Forget(AwaitedPeer& peer) {
  Settle(peer);
  if (std::this_thread::get_id() == thread_.get_id()) return;
  MutexLock lock(mutex_);
  while (telling_ == &peer) told_.Wait(mutex_);
}

void ArrivalWatch::Run() {
  MutexLock lock(mutex_);
  while (!is_ending_) {
    if (awaited_.empty()) {
      changed_.Wait(mutex_);
      continue;
    }
    AwaitedPeer* const first = awaited_.front();
    if (const auto end = first->end_; Clock::now() < end) {
      changed_.WaitUntil(mutex_, end);
      continue;
    }
    awaited_.pop_front();
    first->is_awaited_ = false;
    telling_ = first;
    mutex_.unlock();
    first->OnOverdue();
    mutex_.lock();
    telling_ = nullptr;
    told_.NotifyAll();
  }
}

}  // namespace tconv::server
