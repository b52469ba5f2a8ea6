#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "client/cli/command.h"
#include "client/cli/load.h"
#include "client/cli/statistics.h"
#include "client/cli/status_macros.h"
#include "client/cli/table.h"
#include "client/cli/value_text.h"

namespace tconv::cli {
namespace {

constexpr double kDefaultSeconds = 5;
constexpr double kMegabyte = 1e6;

struct BenchFlags {
  std::string name;
  Shape shape;
  int concurrency = 1;
  std::optional<int64_t> requests;
  std::optional<double> seconds;
  int64_t warm_up = 10;
  bool stream = false;
  bool unary = false;
};

constexpr std::pair<const char*, double> kPercentiles[] = {
    {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"max", 1}};

constexpr std::pair<const char*, std::chrono::microseconds ServerTiming::*> kStages[] = {
    {"queue", &ServerTiming::queue},
    {"plan", &ServerTiming::plan},
    {"compute", &ServerTiming::compute},
    {"serialize", &ServerTiming::serialize}};

// Small floats that repeat: neither denormal nor all the same.
absl::StatusOr<Tensor> MakeInput(const Shape& shape) {
  TCONV_CLI_ASSIGN_OR_RETURN(const int64_t count, ElementCount(shape));
  if (count > std::numeric_limits<ptrdiff_t>::max() / 4) {
    return absl::InvalidArgumentError("--shape: expected what fits into memory");
  }
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 251) / 251 - 0.5F;
  return Tensor::FromVector(shape, std::move(values));
}

Load MakeLoad(const BenchFlags& flags, Tensor input) {
  Load load{.layer = flags.name, .input = std::move(input), .concurrency = flags.concurrency};
  if (flags.stream) load.transfer = Transfer::kStream;
  if (flags.unary) load.transfer = Transfer::kMessage;
  load.requests = flags.requests;
  if (!load.requests) {
    load.duration = std::chrono::duration<double>(flags.seconds.value_or(kDefaultSeconds));
  }
  return load;
}

std::vector<double> Microseconds(const LoadResult& result,
                                 std::chrono::microseconds ServerTiming::*stage) {
  std::vector<double> values;
  for (const ServerTiming& timing : result.timings) {
    values.push_back(static_cast<double>((timing.*stage).count()));
  }
  return values;
}

struct Throughput {
  double calls_per_second = 0;
  double megabytes_per_second = 0;  // both directions
};

Throughput ThroughputOf(const Load& load, const LoadResult& result) {
  const auto calls = static_cast<double>(result.latencies.size());
  const double sent = calls * static_cast<double>(load.input.bytes().size());
  const double bytes = sent + static_cast<double>(result.bytes_received);
  return {calls / result.seconds, bytes / kMegabyte / result.seconds};
}

Json ToJson(const BenchFlags& flags, const Load& load, const LoadResult& result) {
  const Throughput throughput = ThroughputOf(load, result);
  Json latency = Json::object();
  for (const auto& [name, fraction] : kPercentiles) {
    latency[name] =
        result.latencies.empty() ? Json() : Json(Percentile(result.latencies, fraction));
  }
  Json server = Json::object();
  for (const auto& [name, stage] : kStages) {
    const std::vector<double> values = Microseconds(result, stage);
    server[name] = values.empty() ? Json() : Json(Median(values) / 1e6);
  }
  Json errors = Json::object();
  for (const auto& [code, count] : result.errors) errors[absl::StatusCodeToString(code)] = count;
  return {{"name", flags.name},
          {"input", DescribeTensor(load.input)},
          {"concurrency", flags.concurrency},
          {"seconds", result.seconds},
          {"calls", result.latencies.size()},
          {"errors", std::move(errors)},
          {"latency_seconds", std::move(latency)},
          {"server_median_seconds", std::move(server)},
          {"calls_per_second", throughput.calls_per_second},
          {"megabytes_per_second", throughput.megabytes_per_second}};
}

std::string ToText(const Load& load, const LoadResult& result) {
  const Throughput throughput = ThroughputOf(load, result);
  Rows rows = {{"calls", fmt::format("{} in {:.1f} s", result.latencies.size(), result.seconds)}};
  for (const auto& [code, count] : result.errors) {
    rows.push_back({"failed", fmt::format("{} x {}", count, absl::StatusCodeToString(code))});
  }
  if (result.latencies.empty()) return FormatTable(rows);
  for (const auto& [name, fraction] : kPercentiles) {
    rows.push_back({name, fmt::format("{:.3f} ms", 1000 * Percentile(result.latencies, fraction))});
  }
  rows.push_back(
      {"throughput", fmt::format("{:.0f} calls/s, {:.1f} MB/s both ways",
                                 throughput.calls_per_second, throughput.megabytes_per_second)});
  if (result.timings.empty()) return FormatTable(rows);
  for (const auto& [name, stage] : kStages) {
    rows.push_back({fmt::format("server {}", name),
                    fmt::format("{:.3f} ms (median)", Median(Microseconds(result, stage)) / 1000)});
  }
  return FormatTable(rows);
}

// Lets the server load the layer and compile its plan.
absl::Status WarmUp(const BenchFlags& flags, Load load, Session& session) {
  if (flags.warm_up == 0) return absl::OkStatus();
  load.requests = flags.warm_up;
  load.duration.reset();
  const LoadResult result = session.AwaitShare("warming up", [&](const LoadObserver& observer) {
    return RunLoad(session.client(), load, observer);
  });
  return result.first_error.value_or(absl::OkStatus());
}

absl::Status Bench(const BenchFlags& flags, Session& session) {
  TCONV_CLI_ASSIGN_OR_RETURN(Tensor input, MakeInput(flags.shape));
  const Load load = MakeLoad(flags, std::move(input));
  TCONV_CLI_RETURN_IF_ERROR(WarmUp(flags, load, session));
  const LoadResult result = session.AwaitShare("measuring", [&](const LoadObserver& observer) {
    return RunLoad(session.client(), load, observer);
  });
  session.Report(ToJson(flags, load, result), ToText(load, result));
  // Errors are a result as well, unless there is no other.
  if (result.latencies.empty() && result.first_error) return *result.first_error;
  return absl::OkStatus();
}

}  // namespace

Command AddBench(CLI::App& app) {
  auto flags = std::make_shared<BenchFlags>();
  CLI::App* parser = app.add_subcommand(
      "bench", "Measure latency and throughput of Forward; calls that fail are counted");
  AddName(*parser, flags->name, kLayerOrChainHelp);
  AddExtents(*parser, "--shape", flags->shape, "Shape of the float32 input: 1,28,28,3")->required();
  parser->add_option("--concurrency", flags->concurrency, "Calls in flight at any time")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  CLI::Option* requests = parser->add_option("--requests", flags->requests, "Number of calls")
                              ->check(CLI::PositiveNumber);
  parser->add_option("--duration", flags->seconds, "Seconds to make calls (default: 5)")
      ->check(CLI::PositiveNumber)
      ->excludes(requests);
  parser->add_option("--warm-up", flags->warm_up, "Calls before that are not measured")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  CLI::Option* stream = parser->add_flag("--stream", flags->stream, "Send inputs as streams");
  parser->add_flag("--unary", flags->unary, "Send inputs as single messages")->excludes(stream);
  return {parser, [flags](Session& session) { return Bench(*flags, session); }};
}

}  // namespace tconv::cli
