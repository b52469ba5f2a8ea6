// What the benchmarks of plans do with Google Benchmark.
#pragma once

#include <benchmark/benchmark.h>

#include <functional>
#include <vector>

#include "server/base/status.h"
#include "tests/bench/bench_table.h"
#include "tests/bench/contenders.h"
#include "tests/support/shape_table.h"

namespace tconv::bench {

using MakeContender = std::function<server::StatusOr<Contender>()>;

// What one run does, in 1e9 of the unit a second.
struct Amount {
  const char* unit;
  double count = 0;
};

void Register(const BenchKey& key, MakeContender make, Amount amount);

// google-benchmark renamed the field in 1.8.
template <typename Run>
bool HasFailed(const Run& run) {
  if constexpr (requires { run.skipped; }) {
    return static_cast<bool>(run.skipped);
  } else {
    return run.error_occurred;
  }
}

// The rows of tests/data/shapes.txt marked bench.
std::vector<testing::ShapeRow> BenchRows();

}  // namespace tconv::bench
