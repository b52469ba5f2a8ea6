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

// Where the time of a call went, apart from waiting for its bytes.
struct CallTimes {
  std::chrono::nanoseconds queue{0};      // until its turn came
  std::chrono::nanoseconds plan{0};       // to find or make the plan and its weights
  std::chrono::nanoseconds compute{0};    // to do what was asked for
  std::chrono::nanoseconds serialize{0};  // to encode the answer
};

// In the form of codec::kTimingKey.
std::string ToText(const CallTimes& times);

// Follows one call from its arrival until its end, and then writes the one line
// of the access log about it: method, layer, code, times, bytes, how many of them
// were copied, and the message of an error. Never the contents of tensors. Used by
// one thread at a time.
class CallObserver {
 public:
  using Clock = std::chrono::steady_clock;

  // `method` must outlive the observer.
  CallObserver(std::string_view method, CallKind kind) : method_(method), kind_(kind) {}

  void set_layer(std::string name) { layer_ = std::move(name); }
  void set_request_bytes(int64_t bytes) { request_bytes_ = bytes; }
  void set_response_bytes(int64_t bytes) { response_bytes_ = bytes; }
  // Bytes that went through this process's memory once more than they had to:
  // of the request after it had arrived, of the answer before it was sent.
  void set_copied_bytes(int64_t in, int64_t out) {
    copied_in_ = in;
    copied_out_ = out;
  }
  CallTimes& times() { return times_; }

  // To be called once.
  void Finish(const Status& status) const;

 private:
  const std::string_view method_;
  const CallKind kind_;
  const Clock::time_point arrival_ = Clock::now();
  std::string layer_;
  CallTimes times_;
  int64_t request_bytes_ = 0;
  int64_t response_bytes_ = 0;
  int64_t copied_in_ = 0;
  int64_t copied_out_ = 0;
};

}  // namespace tconv::server
