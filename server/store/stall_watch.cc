#include "server/store/stall_watch.h"

namespace tconv::server {

StallWatch::StallWatch(std::chrono::milliseconds limit, std::function<void()> on_stall)
    : limit_(limit), on_stall_(std::move(on_stall)), thread_([this] { Run(); }) {}

StallWatch::~StallWatch() {
  {
    MutexLock lock(mutex_);
    is_ending_ = true;
  }
  changed_.NotifyAll();
  thread_.join();
}

void StallWatch::SetDeadline(Clock::time_point deadline) {
  MutexLock lock(mutex_);
  deadline_ = deadline;
  changed_.NotifyAll();
}

void StallWatch::Run() {
  MutexLock lock(mutex_);
  while (!is_ending_) {
    if (deadline_ == Clock::time_point::max()) {
      changed_.Wait(mutex_);
    } else if (deadline_ > Clock::now()) {
      const Clock::time_point deadline = deadline_;
      changed_.WaitUntil(mutex_, deadline);
    } else {
      deadline_ = Clock::time_point::max();
      on_stall_();
    }
  }
}

}  // namespace tconv::server
