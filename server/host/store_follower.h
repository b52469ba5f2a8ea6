// Keeps up with a store that others change, too.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <thread>

#include "server/base/mutex.h"
#include "server/base/status.h"
#include "server/store/layer_store.h"

namespace tconv::server {

// Looks at the store whenever it tells of changes, when somebody asks, and now and
// then anyway, on a thread of its own. While the store is away it tries again and
// again. Thread-safe.
class StoreFollower {
 public:
  // Hears what every look brought, in order and on the follower's thread: changes,
  // of which there may be none, or UNAVAILABLE.
  using Listener = std::function<void(StatusOr<StoreChanges>)>;

  StoreFollower(std::unique_ptr<ChangeFeed> feed, Listener listener);
  // REQUIRES: nobody is in CatchUp().
  ~StoreFollower();
  StoreFollower(const StoreFollower&) = delete;
  StoreFollower& operator=(const StoreFollower&) = delete;

  // Returns when the listener has heard of everything that was in the store when
  // this was called. All who wait meanwhile share a look. UNAVAILABLE, worth
  // another try: the store cannot be asked, or takes too long; at once while it is
  // known to be away.
  Status CatchUp();
  // The same without waiting.
  void LookSoon();

  // OK, or what CatchUp() would answer at once.
  Status CheckReachable() const;

 private:
  void Follow();
  void NoteLook(const Status& status);
  // A look that begins from now on answers the ticket.
  int64_t AskForLook() TCONV_REQUIRES(mutex_);

  const std::unique_ptr<ChangeFeed> feed_;
  const Listener listener_;

  mutable Mutex mutex_;
  CondVar looked_;
  CondVar resume_;
  int64_t last_ticket_ TCONV_GUARDED_BY(mutex_) = 0;
  int64_t answered_ticket_ TCONV_GUARDED_BY(mutex_) = 0;
  Status last_look_ TCONV_GUARDED_BY(mutex_);
  bool is_stopping_ TCONV_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace tconv::server
