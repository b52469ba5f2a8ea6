#include "server/host/health_notes.h"

#include <spdlog/spdlog.h>

#include <utility>

namespace tconv::server {

Status HealthNotes::NoteStore(Status outcome) {
  const Status store = outcome.code() == StatusCode::kUnavailable ? outcome : OkStatus();
  Status before;
  {
    MutexLock lock(store_mutex_);
    before = std::exchange(store_, store);
  }
  if (before.ok() == store.ok()) return outcome;
  if (store.ok()) {
    spdlog::info("the store is back");
  } else {
    spdlog::error("the store is away, what is loaded is served: {}", MessageOf(store));
  }
  Notify();
  return outcome;
}

Status HealthNotes::store() const {
  MutexLock lock(store_mutex_);
  return store_;
}

void HealthNotes::SetListener(std::function<void()> listener) {
  MutexLock lock(listener_mutex_);
  listener_ = std::move(listener);
}

void HealthNotes::Notify() {
  MutexLock lock(listener_mutex_);
  if (listener_) listener_();
}

}  // namespace tconv::server
