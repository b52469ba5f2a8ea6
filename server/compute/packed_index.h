// Weights in the order that a computation wants, shared by plans.
#pragma once

#include <map>
#include <memory>
#include <utility>

#include "server/base/mutex.h"
#include "server/base/status.h"
#include "server/layer/weights.h"

namespace tconv::server {

// Finds the packed form of a part of some weights again, as long as a plan
// holds it: all shapes of a layer version share one copy. `Part` says which
// part, and is ordered by <. Thread-safe.
template <typename Packed, typename Part>
class PackedIndex {
 public:
  // Null when no plan holds such weights.
  std::shared_ptr<const Packed> Find(const std::shared_ptr<const Weights>& weights,
                                     const Part& part) const {
    MutexLock lock(mutex_);
    const auto found = packed_.find({weights, part});
    return found == packed_.end() ? nullptr : found->second.lock();
  }

  // Finds it, or keeps what `pack`, a StatusOr<std::shared_ptr<const Packed>>(),
  // makes. Its errors.
  template <typename Pack>
  StatusOr<std::shared_ptr<const Packed>> FindOrPack(const std::shared_ptr<const Weights>& weights,
                                                     const Part& part, Pack&& pack) {
    std::shared_ptr<const Packed> found = Find(weights, part);
    if (found != nullptr) return found;
    TCONV_ASSIGN_OR_RETURN(std::shared_ptr<const Packed> packed, pack());
    Put(weights, part, packed);
    return packed;
  }

  // Lets later plans find `packed`, in place of what they found before.
  void Put(const std::shared_ptr<const Weights>& weights, const Part& part,
           const std::shared_ptr<const Packed>& packed) {
    MutexLock lock(mutex_);
    std::erase_if(packed_, [](const auto& entry) { return entry.second.expired(); });
    packed_[{weights, part}] = packed;
  }

 private:
  // Identity of the weights; their control block outlives them in here, so no
  // later weights are taken for them.
  using Key = std::pair<std::weak_ptr<const Weights>, Part>;
  struct Less {
    bool operator()(const Key& a, const Key& b) const {
      if (a.first.owner_before(b.first)) return true;
      if (b.first.owner_before(a.first)) return false;
      return a.second < b.second;
    }
  };

  mutable Mutex mutex_;
  std::map<Key, std::weak_ptr<const Packed>, Less> packed_ TCONV_GUARDED_BY(mutex_);
};

}  // namespace tconv::server
