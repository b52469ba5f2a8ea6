// What those who answer for the health of the server have to know.
#pragma once

#include <functional>
#include <string>

#include "server/base/status.h"

namespace tconv::server {

// Thread-safe. Nothing here waits for the store.
class HealthSource {
 public:
  virtual ~HealthSource() = default;

  // OK, or the UNAVAILABLE with which the store has met the latest change or look.
  // What is loaded is served nevertheless.
  virtual Status StoreStatus() const = 0;

  // OK when the layer is served as it is in the store. NOT_FOUND: not known here;
  // FAILED_PRECONDITION: not built; DATA_LOSS: damaged; else why a newer version of
  // its weights, which the store has, is not served yet: an older one is.
  virtual Status LayerStatus(const std::string& name) const = 0;

  // `listener` hears whenever an answer may have become another one, on any
  // thread; it may ask for answers, is to be quick, and must not call this. Instead
  // of the listener before; null: none. The one before is not running any more
  // when this returns.
  virtual void SetHealthListener(std::function<void()> listener) = 0;
};

}  // namespace tconv::server
