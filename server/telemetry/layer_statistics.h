// What the calls of each layer took, version by version.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "server/base/mutex.h"
#include "server/telemetry/call_facts.h"

namespace tconv::server {

// How often something was done, and how long it took in all.
struct DurationSum {
  int64_t count = 0;
  std::chrono::nanoseconds time{0};

  void Add(std::chrono::nanoseconds more) {
    ++count;
    time += more;
  }
};

// Of one version of the weights of a layer. The phases are those of CallTimes, of calls that were
// answered; calls that were computed together each have the time of all.
struct VersionStatistics {
  int64_t version = 0;
  std::chrono::system_clock::time_point last_answer = {};
  int64_t images = 0;
  int64_t computations = 0;
  DurationSum answered = {};
  DurationSum failed = {};
  DurationSum queue = {};
  DurationSum plan = {};
  DurationSum compute = {};
  DurationSum serialize = {};
};

// A Forward that has ended.
struct EndedForward {
  std::string_view layer;
  bool is_answered = false;
  const ForwardFacts& facts;
  const CallTimes& times;
  std::chrono::nanoseconds time;  // from its arrival
};

// Counts from the start of the process. Remembers the newest versions of a layer, and the layers
// that were called last: both may be made without an end. Thread-safe.
class LayerStatistics {
 public:
  static constexpr size_t kMaxLayers = 10'000;
  static constexpr size_t kMaxVersions = 8;

  explicit LayerStatistics(size_t max_layers = kMaxLayers) : max_layers_(max_layers) {}

  // A call that failed before it found the layer counts for the newest version that was called, if
  // there is one.
  void Count(const EndedForward& call,
             std::chrono::system_clock::time_point now = std::chrono::system_clock::now());

  // By version. Empty when the layer of this name and id was not called, or too long ago.
  std::vector<VersionStatistics> Of(std::string_view layer, int64_t layer_id) const;

 private:
  struct Entry {
    std::string layer;
    int64_t layer_id = 0;
    std::vector<VersionStatistics> versions = {};  // oldest first
  };
  using Entries = std::list<Entry>;

  // Null when there is none and none is to be made.
  VersionStatistics* Find(const EndedForward& call) TCONV_REQUIRES(mutex_);
  Entry& MakeEntry(std::string_view layer) TCONV_REQUIRES(mutex_);

  const size_t max_layers_;
  mutable Mutex mutex_;
  Entries entries_ TCONV_GUARDED_BY(mutex_);  // called last first
  std::unordered_map<std::string_view, Entries::iterator> index_ TCONV_GUARDED_BY(mutex_);
};

}  // namespace tconv::server
