// What log, metrics and the caller learn of each call.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "server/base/status.h"
#include "server/rpc/method.h"
#include "server/rpc/trace_context.h"
#include "server/telemetry/call_facts.h"

namespace tconv::server {

// In the form of codec::kTimingKey.
std::string ToText(const CallTimes& times);

// Follows one call from its arrival until its end. Then it counts the call and
// writes the one line of the access log about it: method, caller, layer, code, times,
// bytes, how many of them were copied, how it was computed, its trace and the
// message of an error. Never the contents of tensors. Used by one thread at a time.
class CallObserver {
 public:
  using Clock = std::chrono::steady_clock;

  // `method` must outlive the observer.
  CallObserver(const Method& method, std::optional<TraceContext> trace);

  // Of the token; empty: anybody.
  void set_caller(std::string name) { caller_ = std::move(name); }
  void set_layer(std::string name) { layer_ = std::move(name); }
  void set_request_bytes(int64_t bytes) { request_bytes_ = bytes; }
  void set_response_bytes(int64_t bytes) { response_bytes_ = bytes; }
  // Bytes that went through this process's memory once more than they had to:
  // of the request after it had arrived, of the answer before it was sent.
  void set_copied_bytes(int64_t in, int64_t out) {
    copied_in_ = in;
    copied_out_ = out;
  }
  // Of a call that computes a layer.
  void set_forward(const ForwardFacts& forward) { forward_ = forward; }
  CallTimes& times() { return times_; }

  // To be called once.
  void Finish(const Status& status) const;
  // What the caller learns, behind the answer or the error: the times and the trace.
  void AddTrailersTo(grpc::CallbackServerContext& context) const;

 private:
  void Log(const Status& status, std::chrono::nanoseconds time) const;

  const Method& method_;
  const std::optional<TraceContext> trace_;
  const Clock::time_point arrival_ = Clock::now();
  std::string caller_;
  std::string layer_;
  std::optional<ForwardFacts> forward_;
  CallTimes times_;
  int64_t request_bytes_ = 0;
  int64_t response_bytes_ = 0;
  int64_t copied_in_ = 0;
  int64_t copied_out_ = 0;
};

}  // namespace tconv::server
