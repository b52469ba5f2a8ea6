// Differential fuzzing: on any small problem every strategy that takes it
// computes what the reference computes.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "server/compute/strategies.h"
#include "tests/support/parity.h"
#include "tests/support/shape_table.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tconv::server;
  using namespace tconv::testing;
  static WorkerPool& pool = *WorkerPool::Make(2).value().release();
  static const auto& strategies =
      *new std::vector<std::unique_ptr<const Strategy>>(MakeStrategies(pool).value());

  FuzzedDataProvider provider(data, size);
  const ShapeRow row = RandomShapeRow([&](int64_t low, int64_t high) {
    return provider.ConsumeIntegralInRange<int64_t>(low, high);
  });
  if (row.problem.dst_shape().num_elements() == 0) return 0;
  const Tensor src = SourceOf(row);
  // The reference is the last of the list.
  const Tensor expected = ExecutePlan(*CompileRow(*strategies.back(), row), row.problem, src);
  for (const auto& strategy : strategies) {
    if (!strategy->Supports(row.problem).ok()) continue;
    const Tensor actual = ExecutePlan(*CompileRow(*strategy, row), row.problem, src);
    if (const std::string difference = DifferenceOf(actual, expected); !difference.empty()) {
      std::fprintf(stderr, "%s: %s\n  %s\n", std::string(strategy->name()).c_str(),
                   row.line.c_str(), difference.c_str());
      std::abort();
    }
  }
  return 0;
}
