// How often, and for how long, what has a name computes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "server/base/mutex.h"
#include "server/telemetry/metrics.h"

namespace prometheus {
class Counter;
template <typename T>
class Family;
}  // namespace prometheus

namespace tconv::server {

// tconv_X_forwards_total{X="name"} and tconv_X_compute_seconds_total{X="name"} for
// names that others may choose. Only so many of them get a label: a new one takes
// that of a name not used for kIdleTime, else it counts as kOthers. Thread-safe.
class ForwardCounters {
 public:
  using Clock = std::chrono::steady_clock;

  // No name has a slash.
  static constexpr std::string_view kOthers = "/others";
  static constexpr std::chrono::hours kIdleTime{1};

  // `what` is X above. `metrics` must outlive this.
  ForwardCounters(Metrics& metrics, const std::string& what, size_t max_names);

  // One Forward; `compute` is its share of the time of a batch.
  void Count(std::string_view name, std::chrono::nanoseconds compute,
             Clock::time_point now = Clock::now());

 private:
  struct Entry {
    std::string name;
    prometheus::Counter* forwards = nullptr;
    prometheus::Counter* seconds = nullptr;
    Clock::time_point last_use = {};
  };
  using Entries = std::list<Entry>;
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view name) const { return std::hash<std::string_view>()(name); }
  };

  Entry MakeEntry(std::string_view name);
  // That counts for `name` from now on.
  Entry& Find(std::string_view name, Clock::time_point now) TCONV_REQUIRES(mutex_);

  const std::string what_;
  const size_t max_names_;
  prometheus::Family<prometheus::Counter>& forwards_;
  prometheus::Family<prometheus::Counter>& seconds_;

  Mutex mutex_;
  Entries entries_ TCONV_GUARDED_BY(mutex_);  // most recently used first
  std::unordered_map<std::string_view, Entries::iterator, Hash, std::equal_to<>> index_
      TCONV_GUARDED_BY(mutex_);
  Entry others_ TCONV_GUARDED_BY(mutex_);
};

}  // namespace tconv::server
