#include "server/telemetry/metrics.h"

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <cassert>
#include <iterator>
#include <utility>
#include <vector>

#include "server/base/mutex.h"

namespace tconv::server {

using prometheus::ClientMetric;
using prometheus::Collectable;
using prometheus::MetricFamily;
using prometheus::MetricType;

class Metrics::KnownElsewhere final : public Collectable {
 public:
  void Add(MetricType type, const std::string& name, const std::string& help, Read read,
           Labels labels) {
    MutexLock lock(mutex_);
    Family& family = families_.try_emplace(name, Family{type, help, {}}).first->second;
    assert(family.type == type && family.help == help);
    family.metrics.push_back({std::move(labels), std::move(read)});
  }

  void BeforeReading(std::function<void()> prepare) {
    MutexLock lock(mutex_);
    preparations_.push_back(std::move(prepare));
  }

  std::vector<MetricFamily> Collect() const override {
    std::vector<MetricFamily> collected;
    MutexLock lock(mutex_);
    for (const auto& prepare : preparations_) prepare();
    for (const auto& [name, family] : families_) {
      MetricFamily& told = collected.emplace_back(MetricFamily{name, family.help, family.type, {}});
      for (const Metric& metric : family.metrics) told.metric.push_back(Told(family.type, metric));
    }
    return collected;
  }

 private:
  struct Metric {
    Labels labels;
    Read read;
  };
  struct Family {
    MetricType type;
    std::string help;
    std::vector<Metric> metrics;
  };

  static ClientMetric Told(MetricType type, const Metric& metric) {
    ClientMetric told;
    for (const auto& [name, value] : metric.labels) told.label.push_back({name, value});
    (type == MetricType::Counter ? told.counter.value : told.gauge.value) = metric.read();
    return told;
  }

  mutable Mutex mutex_;
  std::map<std::string, Family> families_ TCONV_GUARDED_BY(mutex_);
  std::vector<std::function<void()>> preparations_ TCONV_GUARDED_BY(mutex_);
};

namespace {

MetricSample SampleOf(MetricType type, const ClientMetric& metric) {
  MetricSample sample;
  for (const auto& label : metric.label) sample.labels.emplace(label.name, label.value);
  switch (type) {
    case MetricType::Counter:
      sample.value = metric.counter.value;
      break;
    case MetricType::Histogram:
      sample.value = metric.histogram.sample_sum;
      for (const auto& bucket : metric.histogram.bucket) {
        sample.buckets.push_back({bucket.upper_bound, bucket.cumulative_count});
      }
      break;
    default:
      sample.value = metric.gauge.value;
  }
  return sample;
}

}  // namespace

Metrics::Metrics()
    : registry_(std::make_shared<prometheus::Registry>()),
      known_elsewhere_(std::make_shared<KnownElsewhere>()) {}

Metrics::~Metrics() = default;

void Metrics::AddGauge(const std::string& name, const std::string& help, Read read, Labels labels) {
  known_elsewhere_->Add(MetricType::Gauge, name, help, std::move(read), std::move(labels));
}

void Metrics::AddCounter(const std::string& name, const std::string& help, Read read,
                         Labels labels) {
  known_elsewhere_->Add(MetricType::Counter, name, help, std::move(read), std::move(labels));
}

void Metrics::BeforeReading(std::function<void()> prepare) {
  known_elsewhere_->BeforeReading(std::move(prepare));
}

std::vector<MetricFamily> Metrics::Collect() const {
  std::vector<MetricFamily> collected = registry_->Collect();
  std::vector<MetricFamily> others = known_elsewhere_->Collect();
  std::move(others.begin(), others.end(), std::back_inserter(collected));
  return collected;
}

MetricSamples Metrics::Samples() const {
  MetricSamples samples;
  for (const MetricFamily& family : Collect()) {
    for (const ClientMetric& metric : family.metric) {
      samples[family.name].push_back(SampleOf(family.type, metric));
    }
  }
  return samples;
}

std::string Metrics::Text() const { return prometheus::TextSerializer().Serialize(Collect()); }

}  // namespace tconv::server
