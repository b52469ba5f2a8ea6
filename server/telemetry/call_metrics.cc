#include "server/telemetry/call_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <algorithm>
#include <limits>

namespace tconv::server {
namespace {

using prometheus::Counter;
using prometheus::Histogram;

// There are six; the bound is for those to come.
constexpr size_t kMaxStrategies = 32;

// Seconds. A call takes 100 us on loopback and minutes when it streams.
const Histogram::BucketBoundaries kCallBuckets = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                                  0.01,   0.025,   0.05,   0.1,   0.25,   0.5,
                                                  1,      2.5,     5,      10,    30,     60};
// A phase may take a microsecond.
const Histogram::BucketBoundaries kPhaseBuckets = {
    0.00001, 0.000025, 0.0001, 0.00025, 0.001, 0.0025, 0.01, 0.025, 0.1, 0.25, 1, 2.5, 10, 30};
const Histogram::BucketBoundaries kBatchBuckets = {1, 2, 4, 8, 16, 32, 64, 128, 256};

double Seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

prometheus::Labels ToLabels(const MethodLabels& labels) {
  return {
      {"grpc_type", labels.type}, {"grpc_service", labels.service}, {"grpc_method", labels.method}};
}

// A family is registered once, however often it is asked for.
Counter& MethodCounter(Metrics& metrics, const MethodLabels& labels, const std::string& name,
                       const std::string& help) {
  return prometheus::BuildCounter()
      .Name(name)
      .Help(help)
      .Register(metrics.registry())
      .Add(ToLabels(labels));
}

Histogram& PhaseHistogram(Metrics& metrics, const std::string& phase) {
  return prometheus::BuildHistogram()
      .Name("tconv_forward_phase_seconds")
      .Help("Where the time of answered Forward calls went, apart from waiting for bytes.")
      .Register(metrics.registry())
      .Add({{"phase", phase}}, kPhaseBuckets);
}

}  // namespace

MethodMetrics::MethodMetrics(Metrics& metrics, const MethodLabels& labels)
    : started_(
          MethodCounter(metrics, labels, "grpc_server_started_total", "Calls that have arrived.")),
      seconds_(prometheus::BuildHistogram()
                   .Name("grpc_server_handling_seconds")
                   .Help("Time from the arrival of a call until its end.")
                   .Register(metrics.registry())
                   .Add(ToLabels(labels), kCallBuckets)),
      received_bytes_(MethodCounter(metrics, labels, "tconv_received_bytes_total",
                                    "Bytes of the messages of requests.")),
      sent_bytes_(MethodCounter(metrics, labels, "tconv_sent_bytes_total",
                                "Bytes of the messages of answers.")) {
  auto& family = prometheus::BuildCounter()
                     .Name("grpc_server_handled_total")
                     .Help("Calls that have ended, whatever with.")
                     .Register(metrics.registry());
  for (size_t code = 0; code < kCodes; ++code) {
    prometheus::Labels of_code = ToLabels(labels);
    of_code["grpc_code"] = absl::StatusCodeToString(static_cast<StatusCode>(code));
    handled_[code] = &family.Add(of_code);
  }
}

void MethodMetrics::CountStart() { started_.Increment(); }

void MethodMetrics::CountEnd(StatusCode code, std::chrono::nanoseconds time, int64_t received_bytes,
                             int64_t sent_bytes) {
  handled_[std::min(static_cast<size_t>(code), kCodes - 1)]->Increment();
  seconds_.Observe(Seconds(time));
  received_bytes_.Increment(static_cast<double>(received_bytes));
  sent_bytes_.Increment(static_cast<double>(sent_bytes));
}

CallMetrics::CallMetrics(Metrics& metrics, size_t max_layers)
    : metrics_(metrics),
      layers_(metrics, "layer", max_layers),
      strategies_(metrics, "strategy", kMaxStrategies),
      queue_seconds_(PhaseHistogram(metrics, "queue")),
      plan_seconds_(PhaseHistogram(metrics, "plan")),
      compute_seconds_(PhaseHistogram(metrics, "compute")),
      serialize_seconds_(PhaseHistogram(metrics, "serialize")),
      batch_calls_(prometheus::BuildHistogram()
                       .Name("tconv_forward_batch_calls")
                       .Help("Forward calls that were computed together, by batch.")
                       .Register(metrics.registry())
                       .Add({}, kBatchBuckets)) {}

MethodMetrics& CallMetrics::Of(const MethodLabels& labels) {
  MutexLock lock(mutex_);
  return *methods_.emplace_back(std::make_unique<MethodMetrics>(metrics_, labels));
}

void CallMetrics::CountForward(std::string_view layer, const ForwardFacts& facts,
                               const CallTimes& times) {
  const auto share = times.compute / facts.batch_calls;
  layers_.Count(layer, share);
  if (!facts.strategy.empty()) strategies_.Count(facts.strategy, share);
  queue_seconds_.Observe(Seconds(times.queue));
  plan_seconds_.Observe(Seconds(times.plan));
  compute_seconds_.Observe(Seconds(times.compute));
  serialize_seconds_.Observe(Seconds(times.serialize));
  if (facts.is_first_call) batch_calls_.Observe(static_cast<double>(facts.batch_calls));
}

}  // namespace tconv::server
