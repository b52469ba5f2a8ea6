// Time to compile a plan for the rows of tests/data/shapes.txt marked bench, by
// the strategy that the planner chooses.
//
//   compile_bench --benchmark_filter=dcgan
//
// <row>/first is the first plan for some weights, which packs them. <row>/next
// is a plan for another shape while one of the same weights is in use: what a
// request waits for that brings a new shape. The library's cache of primitives
// is empty before each.
#include <benchmark/benchmark.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <oneapi/dnnl/dnnl.hpp>

#include "server/compute/compile_plan.h"
#include "server/compute/planner.h"
#include "server/compute/strategies.h"
#include "tests/support/shape_table.h"

namespace tconv::server {
namespace {

using ::tconv::testing::RandomWeights;
using ::tconv::testing::ReadShapeTable;
using ::tconv::testing::ShapeRow;

void ClearPrimitiveCache() {
  const int capacity = dnnl::get_primitive_cache_capacity();
  dnnl::set_primitive_cache_capacity(0);
  dnnl::set_primitive_cache_capacity(capacity);
}

// The problem of a layer for inputs that are larger by `more` along every axis.
DeconvProblem Enlarged(const ShapeRow& row, int64_t more) {
  Shape shape = row.problem.src_shape();
  std::vector<int64_t> dims(shape.dims().begin(), shape.dims().end());
  const size_t first = row.problem.data_format == DataFormat::kChannelsFirst ? 2 : 1;
  for (size_t axis = 0; axis < row.problem.axes.size(); ++axis) dims[first + axis] += more;
  return MakeDeconvProblem(row.config, row.problem.in_channels, Shape::Make(dims).value()).value();
}

// Compiles a plan for a fresh shape in every iteration.
void CompileShapes(benchmark::State& state, const ShapeRow& row, const Planner& planner,
                   const std::shared_ptr<const Weights>& weights) {
  int64_t more = 0;
  for (auto _ : state) {
    const DeconvProblem problem = Enlarged(row, 1 + more++ % 8);
    const Strategy& strategy = *planner.Choose(problem)->strategy;
    state.SetLabel(std::string(strategy.name()));
    ClearPrimitiveCache();
    const auto start = std::chrono::steady_clock::now();
    const auto plan = CompilePlan(strategy, problem, weights);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    if (!plan.ok()) return state.SkipWithError(std::string(plan.status().message()).c_str());
    state.SetIterationTime(elapsed.count());
  }
}

void CompileFirst(benchmark::State& state, const ShapeRow& row, const Planner& planner) {
  CompileShapes(state, row, planner, RandomWeights(row.problem, row.config.dtype.variable, 1));
}

void CompileNext(benchmark::State& state, const ShapeRow& row, const Planner& planner) {
  const auto weights = RandomWeights(row.problem, row.config.dtype.variable, 1);
  const auto in_use = CompilePlan(*planner.Choose(row.problem)->strategy, row.problem, weights);
  if (!in_use.ok()) return state.SkipWithError(std::string(in_use.status().message()).c_str());
  CompileShapes(state, row, planner, weights);
}

void Register(const std::string& name, std::function<void(benchmark::State&)> run) {
  benchmark::RegisterBenchmark(name.c_str(), std::move(run))
      ->UseManualTime()
      ->Iterations(8)
      ->Unit(benchmark::kMillisecond);
}

}  // namespace
}  // namespace tconv::server

int main(int argc, char** argv) {
  using namespace tconv::server;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  const auto pool = WorkerPool::Make(1).value();
  const auto planner = Planner::Make(MakeStrategies(*pool).value(), "").value();
  const std::vector<ShapeRow> rows = ReadShapeTable();
  for (const ShapeRow& row : rows) {
    if (!row.is_bench) continue;
    Register(row.name + "/first", [&](auto& state) { CompileFirst(state, row, *planner); });
    Register(row.name + "/next", [&](auto& state) { CompileNext(state, row, *planner); });
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
