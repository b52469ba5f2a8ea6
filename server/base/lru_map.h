// A map of expensive values, bounded in bytes.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "server/base/cache_share.h"
#include "server/base/mutex.h"
#include "server/base/shared_part.h"
#include "server/base/status.h"

namespace tconv::server {

// What a LruMap holds, and how it was used since it was made.
struct LruFacts {
  int64_t entries = 0;
  int64_t bytes = 0;
  int64_t capacity_bytes = 0;
  int64_t hits = 0;                        // asked for and held
  int64_t waits = 0;                       // asked for while somebody else built it
  int64_t builds = 0;                      // made for the first who asked
  int64_t failures = 0;                    // could not be made
  int64_t evictions = 0;                   // forgotten because others took their bytes
  std::chrono::nanoseconds build_time{0};  // of builds and failures
};

// Maps keys to shared immutable values that are built when first asked for.
// When the values held exceed the capacity, those used least recently are
// forgotten; they live on until their last user lets go. A part that several
// values share counts once, as long as one of them is held. An owner whose values
// exceed its share of the capacity loses those of its own. Thread-safe.
template <typename Key, typename Value, typename Hash = std::hash<Key>>
class LruMap {
 public:
  using ValuePtr = std::shared_ptr<const Value>;

  struct Built {
    ValuePtr value;
    int64_t bytes = 0;  // without its parts
    // That live as long as the value, at least; each named once.
    std::vector<SharedPart> parts = {};
    CacheShare share = {};
  };

  // `on_forget`, if any, hears of every value that was kept and is no more,
  // without a lock held.
  using ForgetListener = std::function<void(const Value&)>;

  explicit LruMap(int64_t capacity_bytes, ForgetListener on_forget = nullptr)
      : capacity_bytes_(capacity_bytes), on_forget_(std::move(on_forget)) {}

  // The value of `key`, made by `build` (a StatusOr<Built>(), called without a
  // lock) when there is none. Callers that ask for a key under construction
  // wait and share the result, be it an error. Errors are not kept, neither are
  // values larger than the capacity or the share, all parts included. REQUIRES: `build` does
  // not throw.
  template <typename Build>
  StatusOr<ValuePtr> GetOrBuild(const Key& key, Build&& build) {
    std::shared_ptr<Construction> construction;
    {
      MutexLock lock(mutex_);
      if (const auto found = index_.find(key); found != index_.end()) {
        entries_.splice(entries_.begin(), entries_, found->second);
        ++facts_.hits;
        return found->second->built.value;
      }
      const auto [slot, is_builder] = constructions_.try_emplace(key);
      if (!is_builder) {
        construction = slot->second;
        ++facts_.waits;
        while (!construction->done) built_.Wait(mutex_);
        return construction->result;
      }
      construction = slot->second = std::make_shared<Construction>();
    }
    const auto begin = std::chrono::steady_clock::now();
    StatusOr<Built> built = std::forward<Build>(build)();
    return Finish(key, *construction, std::move(built), std::chrono::steady_clock::now() - begin);
  }

  // The value of `key` if there is one, else null. Does not count as a use.
  ValuePtr Find(const Key& key) const {
    MutexLock lock(mutex_);
    const auto found = index_.find(key);
    return found == index_.end() ? nullptr : found->second->built.value;
  }

  // Holds `built` as the value of `key`, in the place of the one that is held or
  // under construction.
  void Put(const Key& key, Built built) {
    Forgotten forgotten{on_forget_, {}};
    MutexLock lock(mutex_);
    Discard(key, forgotten);
    if (TotalBytes(built) <= capacity_bytes_) Keep(key, std::move(built), forgotten);
  }

  // Forgets the value of `key`, and does not keep the one under construction.
  void Erase(const Key& key) {
    Forgotten forgotten{on_forget_, {}};
    MutexLock lock(mutex_);
    Discard(key, forgotten);
  }

  // The same for every key that satisfies `predicate`.
  template <typename Predicate>
  void EraseIf(Predicate&& predicate) {
    Forgotten forgotten{on_forget_, {}};
    MutexLock lock(mutex_);
    for (auto entry = entries_.begin(); entry != entries_.end();) {
      const auto next = std::next(entry);
      if (predicate(entry->key)) Forget(entry, forgotten);
      entry = next;
    }
    for (auto& [key, construction] : constructions_) {
      if (predicate(key)) construction->keep = false;
    }
  }

  // The values whose keys satisfy `predicate`, most recently used first.
  template <typename Predicate>
  std::vector<ValuePtr> FindIf(Predicate&& predicate) const {
    std::vector<ValuePtr> found;
    MutexLock lock(mutex_);
    for (const Entry& entry : entries_) {
      if (predicate(entry.key)) found.push_back(entry.built.value);
    }
    return found;
  }

  int64_t bytes_held() const {
    MutexLock lock(mutex_);
    return bytes_held_;
  }

  LruFacts facts() const {
    MutexLock lock(mutex_);
    LruFacts facts = facts_;
    facts.entries = static_cast<int64_t>(entries_.size());
    facts.bytes = bytes_held_;
    facts.capacity_bytes = capacity_bytes_;
    return facts;
  }

 private:
  struct Entry {
    Key key;
    Built built;
  };
  using Entries = std::list<Entry>;

  // Values on their way out; declared before the lock, so that neither their
  // destructors nor the listener run while it is held.
  struct Forgotten {
    const ForgetListener& listener;
    std::vector<ValuePtr> values;

    ~Forgotten() {
      if (!listener) return;
      for (const ValuePtr& value : values) listener(*value);
    }
  };

  struct Construction {
    bool done = false;
    bool keep = true;
    StatusOr<ValuePtr> result = ValuePtr();
  };

  StatusOr<ValuePtr> Finish(const Key& key, Construction& construction, StatusOr<Built> built,
                            std::chrono::nanoseconds time) {
    Forgotten forgotten{on_forget_, {}};
    MutexLock lock(mutex_);
    ++(built.ok() ? facts_.builds : facts_.failures);
    facts_.build_time += time;
    if (built.ok()) {
      construction.result = built->value;
      if (construction.keep &&
          TotalBytes(*built) <= std::min(capacity_bytes_, built->share.bytes)) {
        Keep(key, *std::move(built), forgotten);
      }
    } else {
      construction.result = built.status();
    }
    const StatusOr<ValuePtr> result = construction.result;
    construction.done = true;
    constructions_.erase(key);
    built_.NotifyAll();
    return result;
  }

  void Discard(const Key& key, Forgotten& forgotten) TCONV_REQUIRES(mutex_) {
    if (const auto found = index_.find(key); found != index_.end()) {
      Forget(found->second, forgotten);
    }
    if (const auto found = constructions_.find(key); found != constructions_.end()) {
      found->second->keep = false;
    }
  }

  static int64_t TotalBytes(const Built& built) {
    int64_t bytes = built.bytes;
    for (const SharedPart& part : built.parts) bytes += part.bytes;
    return bytes;
  }

  void Keep(const Key& key, Built built, Forgotten& forgotten) TCONV_REQUIRES(mutex_) {
    bytes_held_ += built.bytes;
    for (const SharedPart& part : built.parts) {
      if (++part_holders_[part.identity] == 1) bytes_held_ += part.bytes;
    }
    entries_.push_front({key, std::move(built)});
    index_.emplace(key, entries_.begin());
    KeepWithin(entries_.front().built.share, forgotten);
    while (bytes_held_ > capacity_bytes_) Evict(std::prev(entries_.end()), forgotten);
  }

  // The owner's value used last of all is never among those that go: it fits alone.
  void KeepWithin(const CacheShare& share, Forgotten& forgotten) TCONV_REQUIRES(mutex_) {
    if (share.owner.empty()) return;
    const auto is_owned = [&](const Entry& entry) {
      return entry.built.share.owner == share.owner;
    };
    while (BytesOf(share.owner) > share.bytes) {
      const auto last = std::find_if(entries_.rbegin(), entries_.rend(), is_owned);
      Evict(std::prev(last.base()), forgotten);
    }
  }

  int64_t BytesOf(const std::string& owner) const TCONV_REQUIRES(mutex_) {
    int64_t bytes = 0;
    std::unordered_set<const void*> counted;
    for (const Entry& entry : entries_) {
      if (entry.built.share.owner != owner) continue;
      bytes += entry.built.bytes;
      for (const SharedPart& part : entry.built.parts) {
        if (counted.insert(part.identity).second) bytes += part.bytes;
      }
    }
    return bytes;
  }

  // For the room that it takes.
  void Evict(typename Entries::iterator entry, Forgotten& forgotten) TCONV_REQUIRES(mutex_) {
    Forget(entry, forgotten);
    ++facts_.evictions;
  }

  void Forget(typename Entries::iterator entry, Forgotten& forgotten) TCONV_REQUIRES(mutex_) {
    bytes_held_ -= entry->built.bytes;
    for (const SharedPart& part : entry->built.parts) {
      const auto holders = part_holders_.find(part.identity);
      if (--holders->second > 0) continue;
      bytes_held_ -= part.bytes;
      part_holders_.erase(holders);
    }
    forgotten.values.push_back(std::move(entry->built.value));
    index_.erase(entry->key);
    entries_.erase(entry);
  }

  const int64_t capacity_bytes_;
  const ForgetListener on_forget_;
  mutable Mutex mutex_;
  CondVar built_;
  Entries entries_ TCONV_GUARDED_BY(mutex_);  // most recently used first
  std::unordered_map<Key, typename Entries::iterator, Hash> index_ TCONV_GUARDED_BY(mutex_);
  std::unordered_map<Key, std::shared_ptr<Construction>, Hash> constructions_
      TCONV_GUARDED_BY(mutex_);
  // How often the entries name each part.
  std::unordered_map<const void*, int64_t> part_holders_ TCONV_GUARDED_BY(mutex_);
  int64_t bytes_held_ TCONV_GUARDED_BY(mutex_) = 0;
  LruFacts facts_ TCONV_GUARDED_BY(mutex_);  // what is counted of them
};

}  // namespace tconv::server
