// What the calls of a server report to.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "server/telemetry/call_metrics.h"
#include "server/telemetry/layer_statistics.h"
#include "server/telemetry/metrics.h"

namespace tconv::server {

// Which of many like calls are worth a line: the first and then every so many.
// Thread-safe.
class LogSample {
 public:
  // 0: none.
  explicit LogSample(int64_t every) : every_(every) {}

  bool TakesNext() {
    return every_ > 0 && calls_.fetch_add(1, std::memory_order_relaxed) % every_ == 0;
  }

 private:
  const int64_t every_;
  std::atomic<int64_t> calls_ = 0;
};

struct CallTelemetryOptions {
  // A line for one of so many reads that succeed; 0: for none.
  int64_t access_log_sample = 1000;
  // Layers with metrics of their own.
  int64_t max_layers = 100;
};

// Thread-safe.
struct CallTelemetry {
  // `all` must outlive this.
  CallTelemetry(Metrics& all, const CallTelemetryOptions& options)
      : metrics(all, static_cast<size_t>(options.max_layers)), reads(options.access_log_sample) {}

  void CountForward(const EndedForward& call) {
    if (call.is_answered) metrics.CountForward(call.layer, call.facts, call.times);
    layers.Count(call);
  }

  CallMetrics metrics;
  LayerStatistics layers;
  LogSample reads;
};

}  // namespace tconv::server
