#include "tests/bench/bench_registration.h"

#include <utility>

namespace tconv::bench {
namespace {

void RunContender(benchmark::State& state, const MakeContender& make, const Amount& amount) {
  const auto contender = make();
  if (!contender.ok()) {
    return state.SkipWithError(server::MessageOf(contender.status()).c_str());
  }
  server::Status status = contender->run();  // warms up
  for (auto _ : state) status.Update(contender->run());
  EndOpenMpTeam();
  if (!status.ok()) return state.SkipWithError(server::MessageOf(status).c_str());
  state.SetLabel(contender->how);
  state.counters[amount.unit] =
      benchmark::Counter(amount.count * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace

void Register(const BenchKey& key, MakeContender make, Amount amount) {
  const auto run = [make = std::move(make), amount](benchmark::State& state) {
    RunContender(state, make, amount);
  };
  benchmark::RegisterBenchmark(key.ToString().c_str(), run)
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}

std::vector<testing::ShapeRow> BenchRows() {
  std::vector<testing::ShapeRow> rows = testing::ReadShapeTable();
  std::erase_if(rows, [](const testing::ShapeRow& row) { return !row.is_bench; });
  return rows;
}

}  // namespace tconv::bench
