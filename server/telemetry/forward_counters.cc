#include "server/telemetry/forward_counters.h"

#include <fmt/format.h>
#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/registry.h>

#include <utility>

namespace tconv::server {

ForwardCounters::ForwardCounters(Metrics& metrics, const std::string& what, size_t max_names)
    : what_(what),
      max_names_(max_names),
      forwards_(prometheus::BuildCounter()
                    .Name(fmt::format("tconv_{}_forwards_total", what))
                    .Help(fmt::format("Forward calls that were computed, by {}.", what))
                    .Register(metrics.registry())),
      seconds_(prometheus::BuildCounter()
                   .Name(fmt::format("tconv_{}_compute_seconds_total", what))
                   .Help(fmt::format("Time in which Forward calls were computed, by {}.", what))
                   .Register(metrics.registry())) {}

void ForwardCounters::Count(std::string_view name, std::chrono::nanoseconds compute,
                            Clock::time_point now) {
  MutexLock lock(mutex_);
  Entry& entry = Find(name, now);
  entry.last_use = now;
  entry.forwards->Increment();
  entry.seconds->Increment(std::chrono::duration<double>(compute).count());
}

ForwardCounters::Entry ForwardCounters::MakeEntry(std::string_view name) {
  const prometheus::Labels labels = {{what_, std::string(name)}};
  return {std::string(name), &forwards_.Add(labels), &seconds_.Add(labels)};
}

ForwardCounters::Entry& ForwardCounters::Find(std::string_view name, Clock::time_point now) {
  if (const auto found = index_.find(name); found != index_.end()) {
    entries_.splice(entries_.begin(), entries_, found->second);
    return entries_.front();
  }
  if (entries_.size() >= max_names_) {
    if (entries_.empty() || now - entries_.back().last_use < kIdleTime) {
      if (others_.forwards == nullptr) others_ = MakeEntry(kOthers);
      return others_;
    }
    const Entry& idle = entries_.back();
    index_.erase(idle.name);
    forwards_.Remove(idle.forwards);
    seconds_.Remove(idle.seconds);
    entries_.pop_back();
  }
  entries_.push_front(MakeEntry(name));
  index_.emplace(entries_.front().name, entries_.begin());
  return entries_.front();
}

}  // namespace tconv::server
