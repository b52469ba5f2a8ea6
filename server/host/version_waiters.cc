#include "server/host/version_waiters.h"

#include <algorithm>
#include <iterator>
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

int64_t VersionedLayers::served_version() const {
  int64_t sum = 0;
  for (const auto& layer : layers) sum += layer->snapshot().weights_version;
  return sum;
}

int64_t VersionedLayers::newest_version() const {
  int64_t sum = 0;
  for (const auto& layer : layers) sum += layer->newest().weights_version;
  return sum;
}

Status VersionNotServed(const VersionedLayers& layers, int64_t version) {
  std::string troubles;
  for (const auto& layer : layers.layers) {
    const Status trouble = layer->trouble();
    if (!trouble.ok()) troubles += ": " + MessageOf(trouble);
  }
  return RetryAfter(kRetryDelay,
                    MakeError(StatusCode::kUnavailable,
                              "min_version: {} is served at version {} here, not yet "
                              "at {}{}",
                              layers.name, layers.served_version(), version, troubles));
}

VersionWaiters::VersionWaiters() : thread_([this] { ServeWaiters(); }) {}

VersionWaiters::~VersionWaiters() {
  {
    MutexLock lock(mutex_);
    is_stopping_ = true;
  }
  changed_.NotifyAll();
  thread_.join();
}

void VersionWaiters::Await(VersionedLayers layers, int64_t version, QueuedCall& call,
                           AdmissionQueue& queue) {
  Waiter waiter{std::move(layers), version, &call, &queue};
  {
    MutexLock lock(mutex_);
    // Under the lock: a version that is published from here on finds the call waiting.
    if (!IsOver(waiter)) {
      const auto place = waiters_.emplace(Clock::now() + WaitOf(call), std::move(waiter));
      if (place == waiters_.begin()) changed_.NotifyOne();
      return;
    }
  }
  GoOn(waiter);
}

const Layer* VersionWaiters::DeletedOf(const Waiter& waiter) {
  const auto& layers = waiter.layers.layers;
  const auto deleted =
      std::ranges::find_if(layers, [](const auto& layer) { return layer->is_deleted(); });
  return deleted == layers.end() ? nullptr : deleted->get();
}

bool VersionWaiters::IsOver(const Waiter& waiter) {
  return DeletedOf(waiter) != nullptr || waiter.layers.served_version() >= waiter.version;
}

void VersionWaiters::GoOn(const Waiter& waiter) {
  if (const Layer* const deleted = DeletedOf(waiter)) {
    return waiter.call->Drop(LayerNotFound(deleted->name()));
  }
  if (!IsOver(waiter)) return waiter.call->Drop(VersionNotServed(waiter.layers, waiter.version));
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
  MutexLock lock(mutex_);
  for (auto entry = waiters_.begin(); entry != waiters_.end();) {
    const auto& layers = entry->second.layers.layers;
    const bool is_told =
        std::ranges::find(layers, &layer, &std::shared_ptr<const Layer>::get) != layers.end();
    const bool is_over = is_told && IsOver(entry->second);
    if (is_over) ready_.push_back(std::move(entry->second));
    entry = is_over ? waiters_.erase(entry) : std::next(entry);
  }
  if (!ready_.empty()) changed_.NotifyOne();
}

void VersionWaiters::ServeWaiters() {
  MutexLock lock(mutex_);
  while (!is_stopping_) {
    std::vector<Waiter> over = TakeLate();
    std::move(ready_.begin(), ready_.end(), std::back_inserter(over));
    ready_.clear();
    if (!over.empty()) {
      mutex_.unlock();
      for (const Waiter& waiter : over) GoOn(waiter);
      mutex_.lock();
    } else if (waiters_.empty()) {
      changed_.Wait(mutex_);
    } else {
      const Clock::time_point end = waiters_.begin()->first;
      changed_.WaitUntil(mutex_, end);
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
