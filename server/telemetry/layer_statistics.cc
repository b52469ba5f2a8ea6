#include "server/telemetry/layer_statistics.h"

#include <algorithm>
#include <iterator>

namespace tconv::server {
namespace {

// The statistics of `version`, made at its place; null when it is older than all that are kept.
VersionStatistics* FindVersion(std::vector<VersionStatistics>& versions, int64_t version) {
  const auto place = std::ranges::lower_bound(versions, version, {}, &VersionStatistics::version);
  if (place != versions.end() && place->version == version) return &*place;
  const bool is_full = versions.size() == LayerStatistics::kMaxVersions;
  if (is_full && place == versions.begin()) return nullptr;
  const auto made = versions.insert(place, VersionStatistics{.version = version});
  if (!is_full) return &*made;
  const auto index = made - versions.begin();
  versions.erase(versions.begin());
  return &versions[static_cast<size_t>(index - 1)];
}

}  // namespace

void LayerStatistics::Count(const EndedForward& call, std::chrono::system_clock::time_point now) {
  MutexLock lock(mutex_);
  VersionStatistics* const found = Find(call);
  if (found == nullptr) return;
  if (!call.is_answered) return found->failed.Add(call.time);
  found->last_answer = now;
  found->images += call.facts.images;
  found->computations += call.facts.is_first_call ? 1 : 0;
  found->answered.Add(call.time);
  found->queue.Add(call.times.queue);
  found->plan.Add(call.times.plan);
  found->compute.Add(call.times.compute);
  found->serialize.Add(call.times.serialize);
}

VersionStatistics* LayerStatistics::Find(const EndedForward& call) {
  const auto known = index_.find(call.layer);
  if (call.facts.layer_id == 0) {
    return known == index_.end() ? nullptr : &known->second->versions.back();
  }
  Entry& entry = known == index_.end() ? MakeEntry(call.layer) : *known->second;
  // Another layer has the name by now.
  if (entry.layer_id < call.facts.layer_id) {
    entry.layer_id = call.facts.layer_id;
    entry.versions.clear();
  }
  if (entry.layer_id != call.facts.layer_id) return nullptr;
  entries_.splice(entries_.begin(), entries_, index_.find(call.layer)->second);
  return FindVersion(entry.versions, call.facts.weights_version);
}

LayerStatistics::Entry& LayerStatistics::MakeEntry(std::string_view layer) {
  if (entries_.size() == max_layers_) {
    index_.erase(entries_.back().layer);
    entries_.pop_back();
  }
  entries_.push_front({.layer = std::string(layer)});
  index_.emplace(entries_.front().layer, entries_.begin());
  return entries_.front();
}

std::vector<VersionStatistics> LayerStatistics::Of(std::string_view layer, int64_t layer_id) const {
  MutexLock lock(mutex_);
  const auto found = index_.find(layer);
  if (found == index_.end() || found->second->layer_id != layer_id) return {};
  return found->second->versions;
}

}  // namespace tconv::server
