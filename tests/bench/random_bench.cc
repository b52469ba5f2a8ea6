// Random problems: where is tconv slower than oneDNN's deconvolution, and where
// does the planner choose badly?
//
//   random_bench --count=300 --seed=1 --threads=1
//   random_bench --row="x 1x28x28x64 f=32 k=3 s=2 same"
//
// Every problem is computed by the baseline and by each strategy that takes it,
// in turns; times are medians over the rounds. The same seed gives the same
// problems everywhere.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "tests/bench/case_cost.h"
#include "tests/bench/contenders.h"
#include "tests/bench/statistics.h"

namespace tconv::bench {
namespace {

using ::tconv::testing::RandomShapeRange;
using ::tconv::testing::ShapeRow;

constexpr int kRounds = 5;
constexpr double kBatchMilliseconds = 3;
// Keeps one run of a slow baseline below about 50 ms.
constexpr double kMostOperations = 4e8;
constexpr int64_t kMostBytes = 32 << 20;

ShapeRow RandomRow(std::mt19937_64& random) {
  static const RandomShapeRange range = {.largest_extent = {20'000, 256, 48},
                                         .largest_kernel = {16, 16, 7},
                                         .largest_stride = 8,
                                         .largest_batch = 64,
                                         .largest_channels = 1024,
                                         .is_like_models = true,
                                         .activations = {"linear", "relu"},
                                         .dtypes = {"float32"}};
  // std::uniform_int_distribution differs between standard libraries.
  const auto pick = [&](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random() % static_cast<uint64_t>(high - low + 1));
  };
  while (true) {
    ShapeRow row = RandomShapeRow(pick, range);
    const CaseCost cost = CostOf(row.problem);
    const int64_t bytes = cost.src_bytes + cost.dst_bytes + cost.weights_bytes;
    if (cost.operations > 0 && cost.operations <= kMostOperations && bytes <= kMostBytes) {
      return row;
    }
  }
}

struct Timing {
  std::string how;
  double milliseconds = 0;
};

struct MeasuredCase {
  std::string line;
  double operations = 0;
  Timing baseline;
  std::string chosen;
  std::vector<Timing> strategies;

  double planned() const {
    return std::find_if(strategies.begin(), strategies.end(),
                        [&](const Timing& timing) { return timing.how == chosen; })
        ->milliseconds;
  }
  double best() const {
    return std::min_element(
               strategies.begin(), strategies.end(),
               [](const Timing& a, const Timing& b) { return a.milliseconds < b.milliseconds; })
        ->milliseconds;
  }
  double against_baseline() const { return baseline.milliseconds / planned(); }
  double against_best() const { return best() / planned(); }
};

// Ends the program: a contender that was made must run.
void CheckOk(const server::Status& status, const std::string& line) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s: %s\n", line.c_str(), status.ToString().c_str());
  std::exit(1);
}

double MillisecondsOf(const Contender& contender, int runs, const std::string& line) {
  using Clock = std::chrono::steady_clock;
  CheckOk(contender.run(), line);  // warms up
  const auto start = Clock::now();
  for (int run = 0; run < runs; ++run) CheckOk(contender.run(), line);
  const std::chrono::duration<double, std::milli> elapsed = Clock::now() - start;
  EndOpenMpTeam();
  return elapsed.count() / runs;
}

// In turns, so that what disturbs the machine disturbs them all.
std::vector<Timing> TimeInTurns(const std::vector<Contender>& contenders, const std::string& line) {
  std::vector<int> runs;
  for (const Contender& contender : contenders) {
    const double once = MillisecondsOf(contender, 1, line);
    runs.push_back(std::clamp(static_cast<int>(std::ceil(kBatchMilliseconds / once)), 1, 1000));
  }
  std::vector<std::vector<double>> samples(contenders.size());
  for (int round = 0; round < kRounds; ++round) {
    for (size_t i = 0; i < contenders.size(); ++i) {
      samples[i].push_back(MillisecondsOf(contenders[i], runs[i], line));
    }
  }
  std::vector<Timing> timings;
  for (size_t i = 0; i < contenders.size(); ++i) {
    timings.push_back({contenders[i].how, Median(samples[i])});
  }
  return timings;
}

MeasuredCase Measure(const Machine& machine, const ShapeRow& row) {
  std::vector<Contender> contenders;
  auto baseline = MakeBaselineContender(row.problem, machine.pool->threads());
  CheckOk(baseline.status(), row.line);
  contenders.push_back(*std::move(baseline));
  for (const server::Strategy* strategy : machine.TakersOf(row.problem)) {
    auto plan = MakePlanContender(*strategy, row);
    CheckOk(plan.status(), row.line);
    contenders.push_back(*std::move(plan));
  }
  std::vector<Timing> timings = TimeInTurns(contenders, row.line);
  return {.line = row.line,
          .operations = CostOf(row.problem).operations,
          .baseline = timings.front(),
          .chosen = std::string(machine.planner->Choose(row.problem)->strategy->name()),
          .strategies = {timings.begin() + 1, timings.end()}};
}

using Ratio = double (MeasuredCase::*)() const;

void PrintWorst(const char* title, std::vector<MeasuredCase> cases, Ratio ratio, size_t shown) {
  std::vector<double> ratios;
  for (const MeasuredCase& measured : cases) ratios.push_back((measured.*ratio)());
  const auto slower =
      std::count_if(ratios.begin(), ratios.end(), [](double r) { return r < 0.98; });
  std::printf("\n%s: geometric mean %.2fx, below 0.98x in %td of %zu problems. The worst:\n", title,
              GeometricMean(ratios), slower, cases.size());
  std::sort(cases.begin(), cases.end(), [&](const MeasuredCase& a, const MeasuredCase& b) {
    return (a.*ratio)() < (b.*ratio)();
  });
  cases.resize(std::min(cases.size(), shown));
  for (const MeasuredCase& measured : cases) {
    std::printf("%6.2fx  %s\n         %.1f MFLOP; ms: %.4f baseline (%s)", (measured.*ratio)(),
                measured.line.c_str(), measured.operations * 1e-6, measured.baseline.milliseconds,
                measured.baseline.how.c_str());
    for (const Timing& timing : measured.strategies) {
      std::printf(", %.4f %s%s", timing.milliseconds, timing.how.c_str(),
                  timing.how == measured.chosen ? " (chosen)" : "");
    }
    std::printf("\n");
  }
}

std::vector<ShapeRow> RowsOf(const std::vector<std::string>& lines, int count, uint64_t seed) {
  std::vector<ShapeRow> rows;
  if (!lines.empty()) {
    for (const std::string& line : lines) rows.push_back(testing::ParseShapeRow(line));
    return rows;
  }
  std::mt19937_64 random(seed);
  for (int i = 0; i < count; ++i) rows.push_back(RandomRow(random));
  return rows;
}

int Main(int argc, char** argv) {
  int count = 300;
  uint64_t seed = 1;
  int threads = 1;
  size_t worst = 10;
  std::vector<std::string> lines;
  CLI::App app("Compares tconv with oneDNN's deconvolution on random problems.");
  app.add_option("--count", count, "Number of problems")->capture_default_str();
  app.add_option("--seed", seed, "Which problems")->capture_default_str();
  app.add_option("--threads", threads, "Threads that compute")->capture_default_str();
  app.add_option("--worst", worst, "How many of the worst to print")->capture_default_str();
  app.add_option("--row", lines, "A problem as in tests/data/shapes.txt, instead of random ones");
  CLI11_PARSE(app, argc, argv);

  const Machine machine(threads);
  std::vector<MeasuredCase> cases;
  for (const ShapeRow& row : RowsOf(lines, count, seed)) cases.push_back(Measure(machine, row));
  std::printf("%zu problems, %d threads\n", cases.size(), threads);
  PrintWorst("planned against the baseline", cases, &MeasuredCase::against_baseline, worst);
  PrintWorst("planned against the best strategy", cases, &MeasuredCase::against_best, worst);
  return 0;
}

}  // namespace
}  // namespace tconv::bench

int main(int argc, char** argv) { return tconv::bench::Main(argc, argv); }
