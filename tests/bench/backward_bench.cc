// Time of both gradients for the rows of tests/data/shapes.txt marked bench: the
// planner's choice, every strategy that takes a row, and as the baseline oneDNN's
// deconvolution_backward_data and deconvolution_backward_weights.
//
//   backward_bench --benchmark_repetitions=5 --benchmark_enable_random_interleaving=true
//       --benchmark_min_time=0.1 --benchmark_out=backward.json
//   backward_bench --benchmark_filter='^dcgan_l1/1/'
//
// Benchmarks are named <row>/<threads>/<who>. A table of medians follows the runs.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/bench/bench_registration.h"
#include "tests/bench/case_cost.h"
#include "tests/bench/contenders.h"
#include "tests/bench/statistics.h"

namespace tconv::bench {
namespace {

using server::BackwardStrategy;
using ::tconv::testing::ShapeRow;

// What tconv promises, for the planned strategy.
constexpr double kMostTimesBaseline = 1.2;

// `machine` and `row` must outlive the runs.
void RegisterRow(const Machine& machine, const ShapeRow& row) {
  const int threads = machine.pool->threads();
  const Amount operations = {"GFLOP/s", 2 * CostOf(row.problem).operations};
  const auto plan_of = [&row](const BackwardStrategy* strategy) {
    return [&row, strategy] { return MakeBackwardContender(*strategy, row.problem); };
  };
  Register({row.name, threads, kPlanned},
           plan_of(machine.backward_planner.Choose(row.problem)->strategy), operations);
  Register(
      {row.name, threads, kBaseline},
      [&row, threads] { return MakeBackwardBaselineContender(row.problem, threads); }, operations);
  for (const BackwardStrategy* strategy : machine.BackwardTakersOf(row.problem)) {
    Register({row.name, threads, std::string(strategy->name())}, plan_of(strategy), operations);
  }
}

// Prints the usual lines, and the table at the end.
class TableReporter : public benchmark::ConsoleReporter {
 public:
  explicit TableReporter(const std::vector<ShapeRow>& rows) : rows_(rows) {}

  void ReportRuns(const std::vector<Run>& runs) override {
    ConsoleReporter::ReportRuns(runs);
    for (const Run& run : runs) {
      if (HasFailed(run) || run.run_type == Run::RT_Aggregate) continue;
      Series& series = series_[BenchKey::Parse(run.run_name.function_name)];
      series.how = run.report_label;
      series.milliseconds.push_back(run.GetAdjustedRealTime());
    }
  }

  void Finalize() override {
    for (const int threads : {1, 2}) PrintTable(threads);
  }

 private:
  struct Series {
    std::string how;
    std::vector<double> milliseconds;
  };

  void PrintTable(int threads) {
    fmt::print("\n### {} thread{}\n\n", threads, threads == 1 ? "" : "s");
    fmt::print("| case | ms | baseline, ms | times baseline | strategy | every strategy, ms |\n");
    fmt::print("|---|--:|--:|--:|---|---|\n");
    std::vector<double> ratios;
    std::string misses;
    for (const ShapeRow& row : rows_) {
      const auto planned = series_.find({row.name, threads, kPlanned});
      const auto baseline = series_.find({row.name, threads, kBaseline});
      if (planned == series_.end() || baseline == series_.end()) continue;
      const double time = Median(planned->second.milliseconds);
      const double baseline_time = Median(baseline->second.milliseconds);
      ratios.push_back(time / baseline_time);
      if (ratios.back() > kMostTimesBaseline) misses += " " + row.name;
      fmt::print("| {} | {:.4g} | {:.4g} | {:.2f} | {} | {} |\n", row.name, time, baseline_time,
                 ratios.back(), planned->second.how, EveryStrategy(row.name, threads));
    }
    if (ratios.empty()) return;
    fmt::print("\nTimes the baseline: geometric mean {:.2f}, worst {:.2f}.\n",
               GeometricMean(ratios), *std::max_element(ratios.begin(), ratios.end()));
    fmt::print("More than {} times the baseline:{}\n", kMostTimesBaseline,
               misses.empty() ? " none" : misses);
  }

  std::string EveryStrategy(const std::string& row, int threads) {
    std::string text;
    for (const auto& [key, series] : series_) {
      if (key.case_name != row || key.threads != threads || series.how != key.who) continue;
      text += fmt::format("{}{} {:.4g}", text.empty() ? "" : ", ", key.who,
                          Median(series.milliseconds));
    }
    return text;
  }

  const std::vector<ShapeRow>& rows_;
  std::map<BenchKey, Series> series_;
};

int Main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  const std::vector<ShapeRow> rows = BenchRows();
  const Machine one(1);
  const Machine two(2);
  for (const Machine* machine : {&one, &two}) {
    for (const ShapeRow& row : rows) RegisterRow(*machine, row);
  }
  TableReporter reporter(rows);
  benchmark::RunSpecifiedBenchmarks(&reporter);
  return 0;
}

}  // namespace
}  // namespace tconv::bench

int main(int argc, char** argv) { return tconv::bench::Main(argc, argv); }
