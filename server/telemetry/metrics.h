// All that a server tells in numbers.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

namespace prometheus {
class Collectable;
class Registry;
}  // namespace prometheus

namespace tconv::server {

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

  // Everything, for an endpoint to collect.
  std::shared_ptr<prometheus::Collectable> all() const;
  // The same in Prometheus' text format.
  std::string Text() const;

 private:
  class KnownElsewhere;

  const std::shared_ptr<prometheus::Registry> registry_;
  const std::shared_ptr<KnownElsewhere> known_elsewhere_;
};

}  // namespace tconv::server
