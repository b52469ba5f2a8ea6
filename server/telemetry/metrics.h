// All that a server tells in numbers.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace prometheus {
struct MetricFamily;
class Registry;
}  // namespace prometheus

namespace tconv::server {

// One number of a metric, or one histogram.
struct MetricSample {
  struct Bucket {
    double upper_bound = 0;  // infinity in the last one
    uint64_t count = 0;      // of all values up to the bound
  };

  std::map<std::string, std::string> labels;
  double value = 0;             // of a histogram: the sum of its values
  std::vector<Bucket> buckets;  // of a histogram
};

// By the names of the metrics.
using MetricSamples = std::map<std::string, std::vector<MetricSample>>;

// Has two kinds of metrics: those that are counted here as things happen, which
// live in registry(), and those that somebody else knows, which are read when the
// metrics are asked for. Names are in Prometheus' form: base units, `_total` for
// what only grows. Thread-safe.
class Metrics {
 public:
  using Labels = std::map<std::string, std::string>;
  using Read = std::function<double()>;

  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // `read` is called on any thread for as long as somebody may ask. Metrics of one
  // name have the same help and differ in their labels.
  void AddGauge(const std::string& name, const std::string& help, Read read, Labels labels = {});
  void AddCounter(const std::string& name, const std::string& help, Read read, Labels labels = {});

  // `prepare` is called before the metrics are read that somebody asked for: what
  // several of them tell need be found out only once. On any thread, never by two.
  void BeforeReading(std::function<void()> prepare);

  prometheus::Registry& registry() { return *registry_; }

  // Everything, as it is now; in Prometheus' text format.
  MetricSamples Samples() const;
  std::string Text() const;

 private:
  class KnownElsewhere;

  std::vector<prometheus::MetricFamily> Collect() const;

  const std::shared_ptr<prometheus::Registry> registry_;
  const std::shared_ptr<KnownElsewhere> known_elsewhere_;
};

}  // namespace tconv::server
