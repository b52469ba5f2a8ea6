#include "server/app/status_report.h"

#include <chrono>
#include <cmath>
#include <map>
#include <vector>

#include <nlohmann/json.hpp>

namespace tconv::server {
namespace {

using Json = nlohmann::ordered_json;

const std::vector<MetricSample>& Named(const MetricSamples& samples, const std::string& name) {
  static const std::vector<MetricSample> kNone;
  const auto found = samples.find(name);
  return found == samples.end() ? kNone : found->second;
}

// Of a metric without labels; null when there is none.
Json ValueOf(const MetricSamples& samples, const std::string& name) {
  const auto& found = Named(samples, name);
  return found.empty() ? Json() : Json(found.front().value);
}

// One object for each value of `label`, with the values that the metrics in `members`
// have there.
Json ByLabel(const MetricSamples& samples, const std::string& label,
             const std::map<std::string, std::string>& members) {
  std::map<std::string, Json> rows;
  for (const auto& [member, name] : members) {
    for (const MetricSample& sample : Named(samples, name)) {
      const std::string& key = sample.labels.at(label);
      rows.try_emplace(key, Json{{label, key}}).first->second[member] = sample.value;
    }
  }
  Json list = Json::array();
  for (auto& [key, row] : rows) list.push_back(std::move(row));
  return list;
}

// Null where the kernel does not tell.
Json UptimeJson(const MetricSamples& samples) {
  const auto& start = Named(samples, "process_start_time_seconds");
  if (start.empty()) return {};
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count() - start.front().value;
}

Json ServerJson(const MetricSamples& samples) {
  return {{"version", Named(samples, "tconv_build_info").front().labels.at("version")},
          {"uptime_seconds", UptimeJson(samples)},
          {"resident_bytes", ValueOf(samples, "process_resident_memory_bytes")},
          {"cpu_seconds", ValueOf(samples, "process_cpu_seconds_total")},
          {"compute_threads", ValueOf(samples, "tconv_compute_threads")},
          {"compute_threads_busy", ValueOf(samples, "tconv_compute_threads_busy")}};
}

Json StoreJson(const Status& status) {
  return {{"up", status.ok()}, {"message", std::string(status.message())}};
}

// The last bound is that of all that is longer.
Json BucketsJson(const std::vector<MetricSample::Bucket>& buckets) {
  Json list = Json::array();
  for (const auto& [bound, count] : buckets) {
    list.push_back({{"seconds", std::isinf(bound) ? Json() : Json(bound)}, {"calls", count}});
  }
  return list;
}

// Whether a call of a metric is of the same method as another one.
bool IsSameMethod(const MetricSample& one, const MetricSample& other) {
  return one.labels.at("grpc_service") == other.labels.at("grpc_service") &&
         one.labels.at("grpc_method") == other.labels.at("grpc_method");
}

Json MethodsJson(const MetricSamples& samples) {
  Json methods = Json::array();
  for (const MetricSample& times : Named(samples, "grpc_server_handling_seconds")) {
    if (times.buckets.back().count == 0) continue;
    Json codes = Json::object();
    for (const MetricSample& ended : Named(samples, "grpc_server_handled_total")) {
      if (ended.value > 0 && IsSameMethod(times, ended)) {
        codes[ended.labels.at("grpc_code")] = ended.value;
      }
    }
    methods.push_back({{"service", times.labels.at("grpc_service")},
                       {"method", times.labels.at("grpc_method")},
                       {"calls", times.buckets.back().count},
                       {"seconds", times.value},
                       {"codes", codes},
                       {"latency", BucketsJson(times.buckets)}});
  }
  return methods;
}

Json PlanJson(const CachedPlan& plan) {
  Json verdicts = Json::array();
  for (const StrategyVerdict& verdict : plan.verdicts) {
    verdicts.push_back(
        {{"strategy", verdict.strategy}, {"chosen", verdict.chosen}, {"reason", verdict.reason}});
  }
  return {{"input_shape", plan.problem.src_shape().dims()},
          {"output_shape", plan.problem.dst_shape().dims()},
          {"bytes", plan.plan->bytes_held()},
          {"least_seconds", std::chrono::duration<double>(plan.least_time.value()).count()},
          {"verdicts", verdicts}};
}

Json LayerJson(const LayerInfo& layer, const Status& health) {
  const LayerConfig& config = layer.config;
  Json plans = Json::array();
  for (const auto& plan : layer.plans) plans.push_back(PlanJson(*plan));
  return {{"name", layer.name},
          {"class", ClassName(config.spatial_rank)},
          {"filters", config.filters},
          {"kernel_size", config.kernel_size},
          {"strides", config.strides},
          {"padding", config.padding == Padding::kSame ? "same" : "valid"},
          {"data_format",
           config.data_format == DataFormat::kChannelsLast ? "channels_last" : "channels_first"},
          {"activation", config.activation.spec().name},
          {"dtype", config.dtype.name},
          {"input_channels", layer.in_channels},
          {"parameters", layer.parameter_count},
          {"weights_version", layer.weights_version},
          {"loaded_bytes", layer.weight_bytes_held},
          {"healthy", health.ok()},
          {"message", std::string(health.message())},
          {"plans", plans}};
}

LayerRegistry::NamePredicate HasPart(const std::string& part) {
  return [part](const std::string& name) { return name.find(part) != std::string::npos; };
}

Json LayersJson(LayerHost& host, const MetricSamples& samples, const StatusSelection& selection) {
  const LayerPage page =
      host.List(selection.after, selection.limit, HasPart(selection.part), LayerDetail::kPlans);
  Json layers = Json::array();
  for (const LayerInfo& layer : page.layers) {
    layers.push_back(LayerJson(layer, host.health().LayerStatus(layer.name)));
  }
  return {{"total", ValueOf(samples, "tconv_layers")},
          {"damaged", ValueOf(samples, "tconv_damaged_layers")},
          {"outdated", ValueOf(samples, "tconv_outdated_layers")},
          {"next", page.next},
          {"page", layers}};
}

Json StepJson(const std::variant<ChainLayer, Activation>& step) {
  if (const auto* layer = std::get_if<ChainLayer>(&step)) return {{"layer", layer->name}};
  return {{"activation", std::get<Activation>(step).spec().name}};
}

Json ChainsJson(const LayerHost& host, const MetricSamples& samples,
                const StatusSelection& selection) {
  const ChainPage page =
      host.ListChains(selection.chains_after, selection.limit, HasPart(selection.part));
  Json chains = Json::array();
  for (const ChainInfo& chain : page.chains) {
    Json steps = Json::array();
    for (const auto& step : chain.steps) steps.push_back(StepJson(step));
    chains.push_back({{"name", chain.name},
                      {"steps", steps},
                      {"weights_version", chain.weights_version},
                      {"input_shape", chain.input_shape},
                      {"output_shape", chain.output_shape}});
  }
  return {{"total", ValueOf(samples, "tconv_chains")}, {"next", page.next}, {"page", chains}};
}

}  // namespace

std::string StatusReport(LayerHost& host, const Metrics& metrics,
                         const StatusSelection& selection) {
  const MetricSamples samples = metrics.Samples();
  const Json report = {
      {"server", ServerJson(samples)},
      {"store", StoreJson(host.health().StoreStatus())},
      {"queues", ByLabel(samples, "queue",
                         {{"calls", "tconv_queue_calls"},
                          {"waiting_calls", "tconv_queue_waiting_calls"},
                          {"limit_calls", "tconv_queue_limit_calls"},
                          {"handler_threads", "tconv_handler_threads"}})},
      {"memory",
       ByLabel(samples, "owner",
               {{"bytes", "tconv_memory_bytes"}, {"limit_bytes", "tconv_memory_limit_bytes"}})},
      {"strategies", ByLabel(samples, "strategy",
                             {{"forwards", "tconv_strategy_forwards_total"},
                              {"compute_seconds", "tconv_strategy_compute_seconds_total"}})},
      {"methods", MethodsJson(samples)},
      {"layers", LayersJson(host, samples, selection)},
      {"chains", ChainsJson(host, samples, selection)}};
  // Messages need not be UTF-8.
  return report.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace tconv::server
