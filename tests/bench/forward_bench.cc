// Time of one forward pass for the rows of tests/data/shapes.txt marked bench:
// the planner's choice, every strategy that takes a row, and as the baseline
// oneDNN's deconvolution primitive.
//
//   forward_bench --benchmark_repetitions=5 --benchmark_enable_random_interleaving=true
//       --benchmark_min_time=0.1 --benchmark_out=forward.json
//   forward_bench --benchmark_filter='^(peak|dcgan_l1)/1/'
//
// Benchmarks are named <row>/<threads>/<who>. The limits of the machine are
// measured among them: the peak as a large matrix product, and for each row the
// reading of its weights and the moving of its input and output. A table of
// medians that compares them all follows the runs.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "tests/bench/bench_registration.h"
#include "tests/bench/bench_table.h"
#include "tests/bench/case_cost.h"
#include "tests/bench/contenders.h"
#include "tests/bench/memory_limits.h"
#include "tests/support/shape_table.h"

namespace tconv::bench {
namespace {

using server::DType;
using server::Strategy;
using ::tconv::testing::ShapeRow;

void RegisterPeaks(int threads) {
  constexpr double kSize = kPeakMatmulSize;
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    Register({kPeak, threads, std::string(NameOf(dtype))},
             [=] { return MakeMatmulContender(dtype, kPeakMatmulSize, threads); },
             {"GFLOP/s", 2 * kSize * kSize * kSize});
  }
}

// `machine` and `row` must outlive the runs.
void RegisterRow(const Machine& machine, const ShapeRow& row) {
  const int threads = machine.pool->threads();
  const CaseCost cost = CostOf(row.problem);
  const Amount operations = {"GFLOP/s", cost.operations};
  const auto plan_of = [&row](const Strategy* strategy) {
    return [&row, strategy] { return MakePlanContender(*strategy, row); };
  };
  Register({row.name, threads, kPlanned}, plan_of(machine.planner->Choose(row.problem)->strategy),
           operations);
  Register(
      {row.name, threads, kBaseline},
      [&row, threads] { return MakeBaselineContender(row.problem, threads); }, operations);
  for (const Strategy* strategy : machine.TakersOf(row.problem)) {
    Register({row.name, threads, std::string(strategy->name())}, plan_of(strategy), operations);
  }
  Register({row.name, threads, kWeightsLimit},
           [&machine, cost] { return MakeReadContender(*machine.pool, cost.weights_bytes); },
           {"GB/s", static_cast<double>(cost.weights_bytes)});
  Register({row.name, threads, kMemoryLimit},
           [&machine, cost] {
             return MakeReadWriteContender(*machine.pool, cost.src_bytes, cost.dst_bytes);
           },
           {"GB/s", static_cast<double>(cost.src_bytes + cost.dst_bytes)});
}

// Prints the usual lines, and the table at the end.
class TableReporter : public benchmark::ConsoleReporter {
 public:
  explicit TableReporter(BenchTable table) : table_(std::move(table)) {}

  void ReportRuns(const std::vector<Run>& runs) override {
    ConsoleReporter::ReportRuns(runs);
    for (const Run& run : runs) {
      if (HasFailed(run) || run.run_type == Run::RT_Aggregate) continue;
      table_.Add(BenchKey::Parse(run.run_name.function_name), run.report_label,
                 run.GetAdjustedRealTime());
    }
  }

  void Finalize() override { std::fputs(table_.ToString().c_str(), stdout); }

 private:
  BenchTable table_;
};

int Main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  const std::vector<ShapeRow> rows = BenchRows();
  std::vector<BenchCase> cases;
  for (const ShapeRow& row : rows) {
    cases.push_back({.name = row.name,
                     .cost = CostOf(row.problem),
                     .dtype = row.problem.dtype,
                     .filters = row.problem.out_channels});
  }
  const Machine one(1);
  const Machine two(2);
  for (const Machine* machine : {&one, &two}) {
    RegisterPeaks(machine->pool->threads());
    for (const ShapeRow& row : rows) RegisterRow(*machine, row);
  }
  TableReporter reporter(BenchTable{std::move(cases)});
  benchmark::RunSpecifiedBenchmarks(&reporter);
  return 0;
}

}  // namespace
}  // namespace tconv::bench

int main(int argc, char** argv) { return tconv::bench::Main(argc, argv); }
