// What calls do, in numbers.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/base/mutex.h"
#include "server/base/status.h"
#include "server/telemetry/call_facts.h"
#include "server/telemetry/forward_counters.h"
#include "server/telemetry/metrics.h"

namespace prometheus {
class Counter;
class Histogram;
}  // namespace prometheus

namespace tconv::server {

// The method of a service. `type` is "unary", "client_stream", "server_stream" or
// "bidi_stream".
struct MethodLabels {
  std::string service = {};
  std::string method = {};
  std::string type = "unary";
};

// The grpc_server_* metrics of one method, and the bytes of its messages.
// Thread-safe; nothing is looked up when a call is counted.
class MethodMetrics {
 public:
  // `metrics` must outlive this.
  MethodMetrics(Metrics& metrics, const MethodLabels& labels);

  void CountStart();
  // REQUIRES: CountStart() for the same call.
  void CountEnd(StatusCode code, std::chrono::nanoseconds time, int64_t received_bytes,
                int64_t sent_bytes);

 private:
  static constexpr size_t kCodes = 17;

  prometheus::Counter& started_;
  prometheus::Histogram& seconds_;
  prometheus::Counter& received_bytes_;
  prometheus::Counter& sent_bytes_;
  std::array<prometheus::Counter*, kCodes> handled_;  // by code
};

// Of all calls of a server. Thread-safe.
class CallMetrics {
 public:
  // At most so many layers have metrics of their own. `metrics` must outlive this.
  CallMetrics(Metrics& metrics, size_t max_layers);

  // Live as long as this does.
  MethodMetrics& Of(const MethodLabels& labels);

  // A Forward that was answered.
  void CountForward(std::string_view layer, const ForwardFacts& facts, const CallTimes& times);

 private:
  Metrics& metrics_;
  ForwardCounters layers_;
  ForwardCounters strategies_;
  prometheus::Histogram& queue_seconds_;
  prometheus::Histogram& plan_seconds_;
  prometheus::Histogram& compute_seconds_;
  prometheus::Histogram& serialize_seconds_;
  prometheus::Histogram& batch_calls_;
  Mutex mutex_;
  std::vector<std::unique_ptr<MethodMetrics>> methods_ TCONV_GUARDED_BY(mutex_);
};

}  // namespace tconv::server
