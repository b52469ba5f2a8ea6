// What was written, so that nothing of it can be lost or made up unnoticed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "server/base/mutex.h"

namespace tconv::testing {

// The values that every version of the weights of some layers was acknowledged
// with. Thread-safe.
class Ledger {
 public:
  // The server has said that it keeps `value` as this version. False: it had said
  // so of another value, one of the two writes is lost.
  bool Acknowledge(const std::string& layer, int64_t version, float value) {
    server::MutexLock lock(mutex_);
    Layer& entry = layers_[layer];
    entry.latest = std::max(entry.latest, version);
    return entry.values.emplace(version, value).first->second == value;
  }

  // The latest version that was acknowledged; 0: none.
  int64_t LatestOf(const std::string& layer) const {
    server::MutexLock lock(mutex_);
    const auto found = layers_.find(layer);
    return found == layers_.end() ? 0 : found->second.latest;
  }

  // The value of a version; nothing while nobody has an answer about it.
  std::optional<float> ValueOf(const std::string& layer, int64_t version) const {
    server::MutexLock lock(mutex_);
    const auto found = layers_.find(layer);
    if (found == layers_.end()) return std::nullopt;
    const auto value = found->second.values.find(version);
    if (value == found->second.values.end()) return std::nullopt;
    return value->second;
  }

 private:
  struct Layer {
    int64_t latest = 0;
    std::map<int64_t, float> values;
  };

  mutable server::Mutex mutex_;
  std::map<std::string, Layer> layers_ TCONV_GUARDED_BY(mutex_);
};

}  // namespace tconv::testing
