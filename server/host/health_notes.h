// What is told of the store's health, and who listens.
#pragma once

#include <functional>

#include "server/base/mutex.h"
#include "server/base/status.h"

namespace tconv::server {

// Thread-safe.
class HealthNotes {
 public:
  // A change or a look met the store with `outcome`. Passes it on.
  Status NoteStore(Status outcome);
  // The latest outcome, if it was UNAVAILABLE; else OK.
  Status store() const;

  // As HealthSource::SetHealthListener().
  void SetListener(std::function<void()> listener);
  // Something has changed.
  void Notify();

 private:
  mutable Mutex store_mutex_;
  Status store_ TCONV_GUARDED_BY(store_mutex_);

  Mutex listener_mutex_;
  std::function<void()> listener_ TCONV_GUARDED_BY(listener_mutex_);
};

}  // namespace tconv::server
