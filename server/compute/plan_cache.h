// Compiled plans, kept for the shapes in use.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "server/base/cache_share.h"
#include "server/base/lru_map.h"
#include "server/base/status.h"
#include "server/compute/planner.h"

namespace tconv::server {

// The least of the times that were recorded. Thread-safe.
class LeastTime {
 public:
  // `time` > 0.
  void Record(std::chrono::nanoseconds time) {
    auto least = least_.load(std::memory_order_relaxed);
    while ((least == 0 || time.count() < least) &&
           !least_.compare_exchange_weak(least, time.count(), std::memory_order_relaxed)) {
    }
  }

  // 0 before the first.
  std::chrono::nanoseconds value() const {
    return std::chrono::nanoseconds(least_.load(std::memory_order_relaxed));
  }

 private:
  std::atomic<std::chrono::nanoseconds::rep> least_ = 0;
};

// A plan with what is worth telling about it.
struct CachedPlan {
  DeconvProblem problem;
  const Strategy* strategy = nullptr;  // that computes; the planner's
  const Strategy* pinned = nullptr;    // that was asked for; null: the planner chose
  CacheShare share;                    // of whom it is
  std::vector<StrategyVerdict> verdicts;
  std::shared_ptr<const ForwardPlan> plan;
  // Whether a batch of several such problems takes less time than they take one by
  // one: as where reading the weights takes longer than multiplying with them.
  bool gains_in_batches = false;
  mutable LeastTime least_time;  // of Execute()

  // As ForwardPlan::Execute().
  Status Execute(ConstTensorView src, TensorView dst) const {
    const auto begin = std::chrono::steady_clock::now();
    TCONV_RETURN_IF_ERROR(plan->Execute(src, dst));
    least_time.Record(std::chrono::steady_clock::now() - begin);
    return OkStatus();
  }
};

// Maps (weights, problem) to a compiled plan. Bounded in bytes, packed weights
// included, which count once for all plans that share them: the least recently
// used plans go first; a plan larger than the bound is returned and not kept. Callers that ask for
// the same missing plan wait for one compilation. Thread-safe.
class PlanCache {
 public:
  // `planner` must outlive the cache.
  PlanCache(const Planner& planner, int64_t capacity_bytes)
      : planner_(planner), plans_(capacity_bytes) {}

  // `pinned` as in Planner::Choose(). A problem that is a part or a multiple of
  // another is computed to the same last bit by pinning the strategy of the
  // other's plan, be it the best one or not. A plan that has to be compiled counts
  // for `share`. Errors of Planner::Choose() and CompilePlan(); they are not cached.
  StatusOr<std::shared_ptr<const CachedPlan>> GetOrCompile(
      const DeconvProblem& problem, const std::shared_ptr<const Weights>& weights,
      const Strategy* pinned = nullptr, const CacheShare& share = {});

  // The plan that GetOrCompile() would return at once; null when it would compile.
  std::shared_ptr<const CachedPlan> Find(const DeconvProblem& problem,
                                         const std::shared_ptr<const Weights>& weights) const;

  // The cached plans of `weights`, most recently used first.
  std::vector<std::shared_ptr<const CachedPlan>> PlansOf(const Weights& weights) const;

  // Compiles for `next` what is compiled for `previous`, as far as it has been used
  // lately, so that weights of the same shapes can take over without a delay. The
  // first error ends it.
  Status CompileLike(const Weights& previous, const std::shared_ptr<const Weights>& next);

  // Forgets the plans of weights that are no longer served. Those in use live
  // on until their last user is done.
  void Drop(const Weights& weights);

  int64_t bytes_held() const { return plans_.bytes_held(); }
  LruFacts facts() const { return plans_.facts(); }

 private:
  // Weights are told apart by identity. The weak reference keeps their control
  // block alive, so weights that later come to lie at the same address differ.
  struct Key {
    std::weak_ptr<const Weights> weights;
    const Weights* address;
    DeconvProblem problem;
    const Strategy* pinned;

    bool operator==(const Key& other) const;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const;
  };
  using Plans = LruMap<Key, CachedPlan, KeyHash>;

  StatusOr<Plans::Built> Compile(const DeconvProblem& problem,
                                 const std::shared_ptr<const Weights>& weights,
                                 const Strategy* pinned, const CacheShare& share) const;

  const Planner& planner_;
  Plans plans_;
};

}  // namespace tconv::server
