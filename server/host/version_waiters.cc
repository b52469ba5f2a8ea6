#include "server/host/version_waiters.h"

#include <algorithm>
#include <utility>

#include "server/store/store_errors.h"

namespace tconv::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;

// A version that was acknowledged anywhere is here within milliseconds, or as long
// as it takes to load.
constexpr milliseconds kMostWait = std::chrono::seconds(10);
// Before the deadline, for the answer to arrive in time.
constexpr milliseconds kAnswerTime(100);
constexpr milliseconds kRetryDelay(500);

milliseconds WaitOf(const QueuedCall& call) {
  if (call.deadline() == system_clock::time_point::max()) return kMostWait;
  const auto left = std::chrono::duration_cast<milliseconds>(call.deadline() - system_clock::now());
  return std::clamp(left - std::min(kAnswerTime, left / 4), milliseconds(0), kMostWait);
}

}  // namespace

Status VersionNotServed(const Layer& layer, int64_t version) {
  const Status trouble = layer.trouble();
  return RetryAfter(kRetryDelay,
                    MakeError(StatusCode::kUnavailable,
                              "min_version: layer \"{}\" is served at version {} here, not yet at "
                              "{}{}{}",
                              layer.name(), layer.snapshot().weights_version, version,
                              trouble.ok() ? "" : ": ", MessageOf(trouble)));
}

VersionWaiters::VersionWaiters() : thread_([this] { DropLateCalls(); }) {}

VersionWaiters::~VersionWaiters() {
  {
    MutexLock lock(mutex_);
    is_stopping_ = true;
  }
  changed_.NotifyAll();
  thread_.join();
}

void VersionWaiters::Await(std::shared_ptr<const Layer> layer, int64_t version, QueuedCall& call,
                           AdmissionQueue& queue) {
  Waiter waiter{std::move(layer), version, &call, &queue};
  {
    MutexLock lock(mutex_);
    // Under the lock: a version that is published from here on finds the call waiting.
    if (!waiter.layer->is_deleted() && waiter.layer->snapshot().weights_version < version) {
      const auto place = waiters_.emplace(Clock::now() + WaitOf(call), std::move(waiter));
      if (place == waiters_.begin()) changed_.NotifyOne();
      return;
    }
  }
  GoOn(waiter);
}

void VersionWaiters::GoOn(const Waiter& waiter) {
  if (waiter.layer->is_deleted()) return waiter.call->Drop(LayerNotFound(waiter.layer->name()));
  waiter.queue->Submit(*waiter.call);
}

bool VersionWaiters::Abandon(QueuedCall& call) {
  {
    MutexLock lock(mutex_);
    const auto found = std::find_if(waiters_.begin(), waiters_.end(),
                                    [&](const auto& entry) { return entry.second.call == &call; });
    if (found == waiters_.end()) return false;
    waiters_.erase(found);
  }
  call.Drop(Status(StatusCode::kCancelled, "the caller gave up while the call waited"));
  return true;
}

void VersionWaiters::Notify(const Layer& layer) {
  std::vector<Waiter> ready;
  {
    MutexLock lock(mutex_);
    const int64_t version = layer.snapshot().weights_version;
    for (auto entry = waiters_.begin(); entry != waiters_.end();) {
      const Waiter& waiter = entry->second;
      const bool goes_on =
          waiter.layer.get() == &layer && (waiter.version <= version || layer.is_deleted());
      if (goes_on) ready.push_back(std::move(entry->second));
      entry = goes_on ? waiters_.erase(entry) : std::next(entry);
    }
  }
  for (const Waiter& waiter : ready) GoOn(waiter);
}

void VersionWaiters::DropLateCalls() {
  MutexLock lock(mutex_);
  while (!is_stopping_) {
    const std::vector<Waiter> late = TakeLate();
    if (!late.empty()) {
      mutex_.unlock();
      for (const Waiter& waiter : late) {
        waiter.call->Drop(VersionNotServed(*waiter.layer, waiter.version));
      }
      mutex_.lock();
    } else if (waiters_.empty()) {
      changed_.Wait(mutex_);
    } else {
      changed_.WaitUntil(mutex_, waiters_.begin()->first);
    }
  }
}

std::vector<VersionWaiters::Waiter> VersionWaiters::TakeLate() {
  std::vector<Waiter> late;
  const auto end = waiters_.upper_bound(Clock::now());
  for (auto entry = waiters_.begin(); entry != end; ++entry) {
    late.push_back(std::move(entry->second));
  }
  waiters_.erase(waiters_.begin(), end);
  return late;
}

}  // namespace tconv::server
