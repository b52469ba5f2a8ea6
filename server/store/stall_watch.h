// Notices a peer that does not answer.
#pragma once

#include <chrono>
#include <functional>
#include <thread>
#include <utility>

#include "server/base/mutex.h"

namespace tconv::server {

// libpq waits for an answer as long as the connection lives, and that of a server
// which hangs does. Thread-safe.
class StallWatch {
 public:
  // `on_stall` is called, on a thread of the watch, when something watched takes
  // longer than `limit`: it is to make an end of it, and is not called again for
  // the same.
  StallWatch(std::chrono::milliseconds limit, std::function<void()> on_stall);
  // REQUIRES: nothing is watched.
  ~StallWatch();
  StallWatch(const StallWatch&) = delete;
  StallWatch& operator=(const StallWatch&) = delete;

  // use(), watched. One at a time. Does not return while `on_stall` runs.
  template <typename Use>
  auto Watch(Use use) {
    const Watched watched(*this);
    return use();
  }

 private:
  using Clock = std::chrono::steady_clock;

  struct Watched {
    explicit Watched(StallWatch& stall_watch) : watch(stall_watch) {
      watch.SetDeadline(Clock::now() + watch.limit_);
    }
    ~Watched() { watch.SetDeadline(Clock::time_point::max()); }
    StallWatch& watch;
  };

  void SetDeadline(Clock::time_point deadline);
  void Run();

  const std::chrono::milliseconds limit_;
  const std::function<void()> on_stall_;
  Mutex mutex_;  // held while on_stall_ runs
  CondVar changed_;
  Clock::time_point deadline_ TCONV_GUARDED_BY(mutex_) = Clock::time_point::max();
  bool is_ending_ TCONV_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace tconv::server
