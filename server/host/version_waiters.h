// Calls that wait for a version of a layer.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/base/mutex.h"
#include "server/base/status.h"
#include "server/host/admission_queue.h"
#include "server/host/layer.h"
#include "server/host/queued_call.h"

namespace tconv::server {

// The layers that a version is of: one, or those of a chain, each once, whose versions
// are added.
struct VersionedLayers {
  std::string name;  // as messages have it: layer "up"
  std::vector<std::shared_ptr<const Layer>> layers;

  explicit VersionedLayers(const std::shared_ptr<const Layer>& layer)
      : name("layer \"" + layer->name() + "\""), layers({layer}) {}
  VersionedLayers(const std::string& chain, std::vector<std::shared_ptr<const Layer>> its_layers)
      : name("chain \"" + chain + "\""), layers(std::move(its_layers)) {}

  int64_t served_version() const;
  int64_t newest_version() const;
};

// What a call is told that asks for a version which is not served here.
Status VersionNotServed(const VersionedLayers& layers, int64_t version);

// Keeps calls away from the threads of their queue until the version that they ask
// for is served. Thread-safe.
class VersionWaiters {
 public:
  VersionWaiters();
  // REQUIRES: no call waits.
  ~VersionWaiters();
  VersionWaiters(const VersionWaiters&) = delete;
  VersionWaiters& operator=(const VersionWaiters&) = delete;

  // Submits `call` to `queue` as soon as `layers` serve `version`, perhaps before
  // this returns. Else drops it: with VersionNotServed() a little before its
  // deadline and after some seconds at most, with NOT_FOUND when a layer is
  // deleted.
  void Await(VersionedLayers layers, int64_t version, QueuedCall& call, AdmissionQueue& queue);

  // Nobody waits for the answer any more: drops the call if it waits here. False
  // when it does not.
  bool Abandon(QueuedCall& call);

  // To be called when `layer` serves another version, or is deleted. Nothing runs
  // before this returns.
  void Notify(const Layer& layer);

 private:
  using Clock = std::chrono::steady_clock;

  struct Waiter {
    VersionedLayers layers;
    int64_t version = 0;
    QueuedCall* call = nullptr;
    AdmissionQueue* queue = nullptr;
  };

  // Null: all are there.
  static const Layer* DeletedOf(const Waiter& waiter);
  static bool IsOver(const Waiter& waiter);
  // Ends the waiting, with or without what was waited for.
  static void GoOn(const Waiter& waiter);
  void ServeWaiters();
  std::vector<Waiter> TakeLate() TCONV_REQUIRES(mutex_);

  Mutex mutex_;
  CondVar changed_;
  std::multimap<Clock::time_point, Waiter> waiters_ TCONV_GUARDED_BY(mutex_);  // by their end
  std::vector<Waiter> ready_ TCONV_GUARDED_BY(mutex_);                         // that wait no more
  bool is_stopping_ TCONV_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace tconv::server
