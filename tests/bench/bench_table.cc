#include "tests/bench/bench_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "tests/bench/statistics.h"

namespace tconv::bench {
namespace {

using server::DType;

// What tconv promises, for the planned strategy.
constexpr double kLeastRatioToBaseline = 0.98;
constexpr double kOperationsThatFillTheMachine = 20e6;
constexpr double kLeastPercentOfPeak = 85;
constexpr double kLeastPercentThinOrThreaded = 75;
constexpr int64_t kThinFilters = 32;
constexpr double kMostTimesWeightsBound = 1.3;
constexpr double kLeastSpeedupOfBfloat16 = 1.7;
constexpr double kMostTimesChannelsLast = 1.25;

constexpr const char* kChannelsFirstPrefix = "first_";
constexpr const char* kBfloat16Prefix = "bf16_";
constexpr const char* kComputeBound = "compute";

// "-" for what was not measured.
std::string Cell(const char* format, std::optional<double> value) {
  return value ? fmt::format(fmt::runtime(format), *value) : "-";
}

std::optional<double> Divide(std::optional<double> a, std::optional<double> b) {
  if (!a || !b) return std::nullopt;
  return *a / *b;
}

}  // namespace

std::string BenchKey::ToString() const { return fmt::format("{}/{}/{}", case_name, threads, who); }

BenchKey BenchKey::Parse(const std::string& text) {
  const size_t first = text.find('/');
  const size_t second = text.find('/', first + 1);
  return {.case_name = text.substr(0, first),
          .threads = std::stoi(text.substr(first + 1, second - first - 1)),
          .who = text.substr(second + 1)};
}

void BenchTable::Add(const BenchKey& key, const std::string& how, double milliseconds) {
  Series& series = series_[key];
  series.how = how;
  series.milliseconds.push_back(milliseconds);
}

std::string BenchTable::ToString() const {
  std::string text;
  for (const int threads : ThreadCounts()) {
    text += fmt::format("\n### {} thread{}\n\n", threads, threads == 1 ? "" : "s");
    text += fmt::format("Practical peak: {} GFLOP/s in float32, {} in bfloat16.\n\n",
                        Cell("{:.0f}", MatmulGflops(DType::kFloat32, threads)),
                        Cell("{:.0f}", MatmulGflops(DType::kBFloat16, threads)));
    text += fmt::format("| {:18} | {:>8} | {:>7} | {:>6} | {:>24} | {:>8} | {:13} | {} |\n", "case",
                        "ms", "GFLOP/s", "% peak", "bound", "baseline", "strategy",
                        "every strategy, ms");
    text += "|---|--:|--:|--:|--:|--:|---|---|\n";
    for (const BenchCase& bench_case : cases_) {
      if (TimeOf({bench_case.name, threads, kPlanned})) text += LineOf(bench_case, threads);
    }
    text += SummaryOf(threads);
  }
  return text;
}

std::vector<int> BenchTable::ThreadCounts() const {
  std::set<int> counts;
  for (const auto& [key, series] : series_) counts.insert(key.threads);
  return {counts.begin(), counts.end()};
}

std::optional<double> BenchTable::TimeOf(const BenchKey& key) const {
  const auto found = series_.find(key);
  if (found == series_.end()) return std::nullopt;
  return Median(found->second.milliseconds);
}

std::optional<double> BenchTable::MatmulGflops(DType dtype, int threads) const {
  constexpr double kSize = kPeakMatmulSize;
  return Divide(2e-6 * kSize * kSize * kSize, TimeOf({kPeak, threads, std::string(NameOf(dtype))}));
}

std::optional<double> BenchTable::PeakGflops(DType dtype, int threads) const {
  // No value is less than every value.
  return std::max(MatmulGflops(dtype, threads), MatmulGflops(DType::kFloat32, threads));
}

std::optional<double> BenchTable::PercentOfPeak(const BenchCase& bench_case, int threads) const {
  const auto gflops =
      Divide(bench_case.cost.operations * 1e-6, TimeOf({bench_case.name, threads, kPlanned}));
  return Divide(gflops, Divide(PeakGflops(bench_case.dtype, threads), 100));
}

std::optional<double> BenchTable::RatioToBaseline(const BenchCase& bench_case, int threads) const {
  return Divide(TimeOf({bench_case.name, threads, kBaseline}),
                TimeOf({bench_case.name, threads, kPlanned}));
}

std::optional<BenchTable::Bound> BenchTable::BoundOf(const BenchCase& bench_case,
                                                     int threads) const {
  std::optional<Bound> largest;
  const auto consider = [&](const char* name, std::optional<double> milliseconds) {
    if (!milliseconds || (largest && largest->milliseconds >= *milliseconds)) return;
    largest = Bound{name, *milliseconds};
  };
  consider(kComputeBound,
           Divide(bench_case.cost.operations * 1e-6, PeakGflops(bench_case.dtype, threads)));
  for (const char* limit : {kWeightsLimit, kMemoryLimit}) {
    consider(limit, TimeOf({bench_case.name, threads, limit}));
  }
  return largest;
}

std::optional<double> BenchTable::TimesBound(const BenchCase& bench_case, int threads) const {
  const auto bound = BoundOf(bench_case, threads);
  if (!bound) return std::nullopt;
  return Divide(TimeOf({bench_case.name, threads, kPlanned}), bound->milliseconds);
}

std::optional<double> BenchTable::SpeedupOverPlain(const BenchCase& bench_case,
                                                   const std::string& prefix, int threads) const {
  if (!bench_case.name.starts_with(prefix)) return std::nullopt;
  return Divide(TimeOf({bench_case.name.substr(prefix.size()), threads, kPlanned}),
                TimeOf({bench_case.name, threads, kPlanned}));
}

std::string BenchTable::LineOf(const BenchCase& bench_case, int threads) const {
  const BenchKey planned = {bench_case.name, threads, kPlanned};
  const auto bound = BoundOf(bench_case, threads);
  std::vector<std::string> strategies;
  for (const auto& [key, series] : series_) {
    if (key.case_name != bench_case.name || key.threads != threads) continue;
    if (series.how != key.who) continue;  // limits, the baseline and the plan
    strategies.push_back(fmt::format("{} {:.4g}", key.who, *TimeOf(key)));
  }
  return fmt::format("| {:18} | {:>8.4g} | {:>7} | {:>6} | {:>24} | {:>8} | {:13} | {} |\n",
                     bench_case.name, *TimeOf(planned),
                     Cell("{:.1f}", Divide(bench_case.cost.operations * 1e-6, TimeOf(planned))),
                     Cell("{:.0f} %", PercentOfPeak(bench_case, threads)),
                     bound ? fmt::format("{} {:.3g} ms x{:.2f}", bound->name, bound->milliseconds,
                                         *TimesBound(bench_case, threads))
                           : "-",
                     Cell("{:.2f}x", RatioToBaseline(bench_case, threads)), series_.at(planned).how,
                     strategies.empty() ? "-" : fmt::format("{}", fmt::join(strategies, ", ")));
}

std::string BenchTable::SummaryOf(int threads) const {
  std::vector<double> ratios;
  std::string worst, text, misses;
  for (const BenchCase& bench_case : cases_) {
    if (const auto ratio = RatioToBaseline(bench_case, threads)) {
      if (ratios.empty() || *ratio < *std::min_element(ratios.begin(), ratios.end())) {
        worst = bench_case.name;
      }
      ratios.push_back(*ratio);
    }
    if (const auto speedup = SpeedupOverPlain(bench_case, kChannelsFirstPrefix, threads)) {
      text +=
          fmt::format("- {}: {:.2f}x the time of channels_last\n", bench_case.name, 1 / *speedup);
    }
    if (const auto speedup = SpeedupOverPlain(bench_case, kBfloat16Prefix, threads)) {
      text += fmt::format("- {}: {:.2f}x as fast as float32\n", bench_case.name, *speedup);
    }
    for (const std::string& miss : MissesOf(bench_case, threads)) misses += "- " + miss + "\n";
  }
  if (!ratios.empty()) {
    text =
        fmt::format("- against the baseline: geometric mean {:.2f}x, worst {:.2f}x ({})\n",
                    GeometricMean(ratios), *std::min_element(ratios.begin(), ratios.end()), worst) +
        text;
  }
  return fmt::format("\n{}\nTargets missed:{}\n{}", text, misses.empty() ? " none" : "\n", misses);
}

std::vector<std::string> BenchTable::MissesOf(const BenchCase& bench_case, int threads) const {
  std::vector<std::string> misses;
  const auto must = [&](bool holds, const std::string& what, std::optional<double> value,
                        const char* expected, double limit) {
    if (holds) return;
    misses.push_back(fmt::format("{}: {} {:.2f}, expected {} {:.4g}", bench_case.name, what, *value,
                                 expected, limit));
  };
  const auto ratio = RatioToBaseline(bench_case, threads);
  must(!ratio || *ratio >= kLeastRatioToBaseline, "ratio to the baseline", ratio, "at least",
       kLeastRatioToBaseline);

  const auto bound = BoundOf(bench_case, threads);
  const bool is_float32 = bench_case.dtype == DType::kFloat32;
  if (const auto percent = PercentOfPeak(bench_case, threads);
      percent && is_float32 && bound->name == kComputeBound &&
      bench_case.cost.operations > kOperationsThatFillTheMachine) {
    const double least = threads > 1 || bench_case.filters < kThinFilters
                             ? kLeastPercentThinOrThreaded
                             : kLeastPercentOfPeak;
    must(*percent >= least, "per cent of the peak", percent, "at least", least);
  }
  if (const auto times = TimesBound(bench_case, threads); times && bound->name == kWeightsLimit) {
    must(*times <= kMostTimesWeightsBound, "times the reading of the weights", times, "at most",
         kMostTimesWeightsBound);
  }
  if (const auto speedup = SpeedupOverPlain(bench_case, kChannelsFirstPrefix, threads)) {
    must(1 / *speedup <= kMostTimesChannelsLast, "times channels_last", 1 / *speedup, "at most",
         kMostTimesChannelsLast);
  }
  if (const auto speedup = SpeedupOverPlain(bench_case, kBfloat16Prefix, threads);
      speedup && bound && bound->name == kComputeBound &&
      Divide(MatmulGflops(bench_case.dtype, threads), MatmulGflops(DType::kFloat32, threads)) >
          kLeastSpeedupOfBfloat16) {
    must(*speedup >= kLeastSpeedupOfBfloat16, "speed-up over float32", speedup, "at least",
         kLeastSpeedupOfBfloat16);
  }
  return misses;
}

}  // namespace tconv::bench
