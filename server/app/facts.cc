#include "server/app/facts.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "server/telemetry/process_metrics.h"

namespace tconv::server {
namespace {

// fact(...) as a metric has it.
template <typename Fact>
Metrics::Read Reading(Fact fact) {
  return [fact] { return static_cast<double>(fact()); };
}

Metrics::Read Constant(double value) {
  return [value] { return value; };
}

void AddCache(const std::string& cache, std::function<LruFacts()> facts, Metrics& metrics) {
  const auto add_requests = [&](const std::string& result, int64_t LruFacts::*count) {
    metrics.AddCounter("tconv_cache_requests_total",
                       "Values asked for: there, awaited with others, made, or failed to be made.",
                       Reading([facts, count] { return facts().*count; }),
                       {{"cache", cache}, {"result", result}});
  };
  add_requests("hit", &LruFacts::hits);
  add_requests("wait", &LruFacts::waits);
  add_requests("build", &LruFacts::builds);
  add_requests("failure", &LruFacts::failures);
  metrics.AddCounter("tconv_cache_build_seconds_total",
                     "Time to make values: to read weights from the store, to compile plans.",
                     [facts] { return std::chrono::duration<double>(facts().build_time).count(); },
                     {{"cache", cache}});
  metrics.AddCounter("tconv_cache_evictions_total", "Values that made room for others.",
                     Reading([facts] { return facts().evictions; }), {{"cache", cache}});
  metrics.AddGauge("tconv_cache_entries", "Values held.",
                   Reading([facts] { return facts().entries; }), {{"cache", cache}});
}

void AddQueue(const std::string& name, const AdmissionQueue& queue, Metrics& metrics) {
  const AdmissionLimits& limits = queue.limits();
  const Metrics::Labels labels = {{"queue", name}};
  metrics.AddGauge("tconv_queue_calls", "Calls in the house, from arrival to delivery.",
                   Reading([&queue] { return queue.calls(); }), labels);
  metrics.AddGauge("tconv_queue_waiting_calls", "Those of them that wait for their turn.",
                   Reading([&queue] { return queue.waiting(); }), labels);
  metrics.AddGauge("tconv_queue_limit_calls", "Calls beyond which others are refused.",
                   Constant(static_cast<double>(limits.handler_threads + limits.max_waiting_calls)),
                   labels);
  metrics.AddGauge("tconv_handler_threads", "Calls that can have their turn at once.",
                   Constant(limits.handler_threads), labels);
}

// One owner of memory; 0: it has no limit of its own.
void AddMemory(const std::string& owner, Metrics::Read bytes, int64_t limit, Metrics& metrics) {
  metrics.AddGauge("tconv_memory_bytes", "Memory by who holds it.", std::move(bytes),
                   {{"owner", owner}});
  if (limit == 0) return;
  metrics.AddGauge("tconv_memory_limit_bytes", "What each may hold.",
                   Constant(static_cast<double>(limit)), {{"owner", owner}});
}

// What the host knows when somebody asks for the metrics: it counts layers, which it
// is to do once.
using HostView = std::shared_ptr<const HostFacts>;

HostView ViewOf(const LayerHost& host, Metrics& metrics) {
  auto facts = std::make_shared<HostFacts>();
  metrics.BeforeReading([facts, &host] { *facts = host.facts(); });
  return facts;
}

void AddLayers(const HostView& host, Metrics& metrics) {
  metrics.AddGauge("tconv_layers", "Layers that can be called.",
                   Reading([host] { return host->layers - host->damaged_layers; }));
  metrics.AddGauge("tconv_chains", "Chains that can be called, unless a layer of them is damaged.",
                   Reading([host] { return host->chains; }));
  metrics.AddGauge("tconv_damaged_layers", "Layers and chains that the store cannot read.",
                   Reading([host] { return host->damaged_layers; }));
  metrics.AddGauge("tconv_outdated_layers",
                   "Layers that are served at an older version than the store has.",
                   Reading([host] { return host->behind_layers; }));
  metrics.AddGauge("tconv_store_up", "1 while the store can be asked, else 0.",
                   Reading([host] { return host->is_store_up; }));
}

void AddOwners(const MeasuredParts& parts, const HostView& host, const ServerOptions& options,
               Metrics& metrics) {
  AddMemory("weights", Reading([host] { return host->weights.bytes; }),
            options.host.max_loaded_weight_bytes, metrics);
  AddMemory("plans", Reading([&plans = parts.plans] { return plans.bytes_held(); }),
            options.plan_cache_bytes, metrics);
  AddMemory("backward_plans",
            Reading([&plans = parts.backward_plans] { return plans.facts().bytes; }),
            BackwardPlanCache::kCapacityBytes, metrics);
  AddMemory("tensors", Reading([host] { return host->used_tensor_bytes; }), 0, metrics);
  AddMemory("idle_tensors", Reading([host] { return host->idle_tensor_bytes; }),
            options.host.max_idle_tensor_bytes, metrics);
  AddMemory("requests", Reading([&work = parts.work, &reads = parts.reads] {
              return work.bytes() + reads.bytes();
            }),
            options.admission.max_bytes, metrics);
  AddMemory("shared_memory", Reading([&memory = parts.memory] { return memory.mapped_bytes(); }),
            options.shared_memory.max_bytes, metrics);
}

}  // namespace

void AddFacts(const MeasuredParts& parts, const ServerOptions& options, Metrics& metrics) {
  const HostView host = ViewOf(parts.host, metrics);
  const WorkerPool& pool = parts.pool;
  metrics.AddGauge("tconv_build_info", "1, and the version of the server.", Constant(1),
                   {{"version", TCONV_VERSION}});
  AddLayers(host, metrics);
  metrics.AddGauge("tconv_compute_threads", "Threads that may compute at once.",
                   Reading([&pool] { return pool.threads(); }));
  metrics.AddGauge("tconv_compute_threads_busy", "Those of them that compute.",
                   Reading([&pool] { return pool.slots().used(); }));
  AddCache(
      "weights", [host] { return host->weights; }, metrics);
  AddCache(
      "plans", [&plans = parts.plans] { return plans.facts(); }, metrics);
  AddCache(
      "backward_plans", [&plans = parts.backward_plans] { return plans.facts(); }, metrics);
  AddQueue("work", parts.work, metrics);
  AddQueue("reads", parts.reads, metrics);
  AddOwners(parts, host, options, metrics);
  AddProcessMetrics(metrics);
}

}  // namespace tconv::server
