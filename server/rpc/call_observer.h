// What the log tells of each call.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "server/base/status.h"

namespace tconv::server {

// Changes are worth a line in everyday logs, reads are not.
enum class CallKind : uint8_t { kRead, kChange };

// Follows one call from its arrival until its end, and then writes the one line
// of the access log about it: method, layer, code, time, bytes, and the message
// of an error. Never the contents of tensors. Used by one thread at a time.
class CallObserver {
 public:
  // `method` must outlive the observer.
  CallObserver(std::string_view method, CallKind kind, int64_t request_bytes);

  void set_layer(std::string name) { layer_ = std::move(name); }
  void set_response_bytes(int64_t bytes) { response_bytes_ = bytes; }

  // To be called once.
  void Finish(const Status& status) const;

 private:
  const std::string_view method_;
  const CallKind kind_;
  const int64_t request_bytes_;
  const std::chrono::steady_clock::time_point arrival_ = std::chrono::steady_clock::now();
  std::string layer_;
  int64_t response_bytes_ = 0;
};

}  // namespace tconv::server
