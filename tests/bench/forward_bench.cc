// Time of one forward pass for the rows of tests/data/shapes.txt marked bench:
// every strategy that takes a row, the planner's choice, and as the baseline
// oneDNN's deconvolution primitive with bias and ReLU fused, on the user's
// layouts with weights packed beforehand.
//
//   forward_bench --benchmark_filter=dcgan --benchmark_out=forward.json
//
// Benchmarks are named <row>/<threads>/<who>. Operations are counted for the
// taps that land inside of the output only. A table of medians, with the part
// of the practical peak (a large oneDNN matrix product on as many threads) and
// the ratio to the baseline, follows the runs.
#include <benchmark/benchmark.h>
#include <omp.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/compute/compile_plan.h"
#include "server/compute/onednn/compat.h"
#include "server/compute/onednn/runtime.h"
#include "server/compute/phases.h"
#include "server/compute/planner.h"
#include "server/compute/strategies.h"
#include "tests/support/shape_table.h"

namespace tconv::server {
namespace {

using dnnl::memory;
using ::tconv::testing::RandomTensor;
using ::tconv::testing::RandomWeights;
using ::tconv::testing::ShapeRow;

constexpr const char* kBaseline = "baseline";
constexpr const char* kPlanned = "planned";
constexpr const char* kPeak = "peak";

// Multiplications and additions for taps that land inside of the output.
double UsefulOperations(const DeconvProblem& problem) {
  double count = 2.0 * static_cast<double>(problem.batch * problem.in_channels) *
                 static_cast<double>(problem.out_channels);
  for (const AxisGeometry& axis : problem.axes) {
    size_t pairs = 0;
    for (int64_t out = 0; out < axis.out; ++out) pairs += ContributionsOf(axis, out).size();
    count *= static_cast<double>(pairs);
  }
  return count;
}

void SetOperations(benchmark::State& state, double operations) {
  state.counters["GFLOP/s"] =
      benchmark::Counter(operations * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

// A pool with its strategies.
struct Machine {
  explicit Machine(int threads)
      : pool(WorkerPool::Make(threads).value()),
        planner(Planner::Make(MakeStrategies(*pool).value(), "").value()),
        strategies(MakeStrategies(*pool).value()) {}

  const std::unique_ptr<WorkerPool> pool;
  const std::unique_ptr<const Planner> planner;
  const std::vector<std::unique_ptr<const Strategy>> strategies;
};

void RunPlan(benchmark::State& state, const ShapeRow& row, const Strategy& strategy) {
  const auto weights = RandomWeights(row.problem, row.config.dtype.variable, 1);
  const auto plan = CompilePlan(strategy, row.problem, weights);
  if (!plan.ok()) return state.SkipWithError(std::string(plan.status().message()).c_str());
  const Tensor src = RandomTensor(row.problem.src_shape(), row.problem.dtype, 2);
  Tensor dst = Tensor::Allocate(row.problem.dtype, row.problem.dst_shape()).value();
  for (auto _ : state) {
    if (!(*plan)->Execute(src.view(), dst.mutable_view()).ok()) state.SkipWithError("failed");
  }
  state.SetLabel(std::string(strategy.name()));
  SetOperations(state, UsefulOperations(row.problem));
}

memory::format_tag ImageTag(const DeconvProblem& problem) {
  using Tag = memory::format_tag;
  constexpr Tag kLast[] = {Tag::nwc, Tag::nhwc, Tag::ndhwc};
  constexpr Tag kFirst[] = {Tag::ncw, Tag::nchw, Tag::ncdhw};
  const size_t index = problem.axes.size() - 1;
  return problem.data_format == DataFormat::kChannelsLast ? kLast[index] : kFirst[index];
}

// Numbers of ordinary size, for tiny ones take longer.
memory RandomMemory(const memory::desc& desc, const dnnl::engine& engine, DType dtype) {
  memory values(desc, engine);
  const auto count = static_cast<int64_t>(desc.get_size() / SizeOf(dtype));
  const Tensor random = RandomTensor(Shape{count}, dtype, 3);
  std::copy_n(random.view().data, random.size_bytes(),
              static_cast<std::byte*>(values.get_data_handle()));
  return values;
}

// oneDNN's own deconvolution of the whole batch, on an OpenMP team.
void RunBaseline(benchmark::State& state, const ShapeRow& row, int threads) {
  using Deconvolution = dnnl::deconvolution_forward;
  const DeconvProblem& problem = row.problem;
  const auto type = OneDnnTypeOf(problem.dtype);
  memory::dims src = {problem.batch, problem.in_channels};
  memory::dims dst = {problem.batch, problem.out_channels};
  memory::dims kernel = {problem.out_channels, problem.in_channels};
  memory::dims strides, dilations, begin, end;
  for (const AxisGeometry& axis : problem.axes) {
    src.push_back(axis.in);
    dst.push_back(axis.out);
    kernel.push_back(axis.kernel);
    strides.push_back(axis.stride);
    dilations.push_back(axis.dilation - 1);
    begin.push_back(axis.crop_begin);
    end.push_back(axis.crop_end());
  }
  omp_set_num_threads(threads);
  try {
    const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
    dnnl::primitive_attr attributes;
    if (problem.activation.spec().name == "relu") AppendRelu(attributes);
    const auto desc = MakePrimitiveDesc<Deconvolution>(
        engine, attributes, dnnl::prop_kind::forward_inference,
        dnnl::algorithm::deconvolution_direct, memory::desc(src, type, ImageTag(problem)),
        memory::desc(kernel, type, memory::format_tag::any),
        memory::desc({problem.out_channels}, type, memory::format_tag::a),
        memory::desc(dst, type, ImageTag(problem)), strides, dilations, begin, end);
    memory src_memory = RandomMemory(desc.src_desc(), engine, problem.dtype);
    memory weights_memory = RandomMemory(desc.weights_desc(), engine, problem.dtype);
    memory bias_memory = RandomMemory(desc.bias_desc(), engine, problem.dtype);
    memory dst_memory(desc.dst_desc(), engine);
    const Deconvolution primitive(desc);
    dnnl::stream stream(engine);
    for (auto _ : state) {
      primitive.execute(stream, {{DNNL_ARG_SRC, src_memory},
                                 {DNNL_ARG_WEIGHTS, weights_memory},
                                 {DNNL_ARG_BIAS, bias_memory},
                                 {DNNL_ARG_DST, dst_memory}});
      stream.wait();
    }
    state.SetLabel(desc.impl_info_str());
    SetOperations(state, UsefulOperations(problem));
  } catch (const dnnl::error& error) {
    state.SkipWithError(error.what());
  }
}

// The practical peak: what a matrix product reaches that is large in every way.
void RunPeak(benchmark::State& state, int threads) {
  constexpr int64_t kSize = 1536;
  constexpr auto type = memory::data_type::f32;
  omp_set_num_threads(threads);
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  const memory::desc square({kSize, kSize}, type, memory::format_tag::ab);
  const memory::desc packed({kSize, kSize}, type, memory::format_tag::any);
  const memory::desc sums({kSize, kSize}, type, memory::format_tag::ab);
  const auto desc =
      MakePrimitiveDesc<dnnl::matmul>(engine, dnnl::primitive_attr(), square, packed, sums);
  memory a = RandomMemory(desc.src_desc(), engine, DType::kFloat32);
  memory b = RandomMemory(desc.weights_desc(), engine, DType::kFloat32);
  memory c(desc.dst_desc(), engine);
  const dnnl::matmul product(desc);
  dnnl::stream stream(engine);
  for (auto _ : state) {
    product.execute(stream, {{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, c}});
    stream.wait();
  }
  state.SetLabel(desc.impl_info_str());
  SetOperations(state, 2.0 * kSize * kSize * kSize);
}

// Prints the usual lines, and a table of medians at the end.
class TableReporter : public benchmark::ConsoleReporter {
 public:
  void ReportRuns(const std::vector<Run>& runs) override {
    ConsoleReporter::ReportRuns(runs);
    for (const Run& run : runs) {
      if (run.error_occurred || run.run_type == Run::RT_Aggregate) continue;
      Series& series = series_[run.run_name.function_name];
      series.label = run.report_label;
      series.milliseconds.push_back(run.GetAdjustedRealTime());
      series.gflops.push_back(run.counters.at("GFLOP/s"));
    }
  }

  void Finalize() override {
    std::printf("\n%-16s %3s %-14s %10s %9s %7s %9s  %s\n", "row", "thr", "who", "ms", "GFLOP/s",
                "% peak", "baseline", "how");
    for (const auto& [name, series] : series_) {
      const size_t first = name.find('/');
      const size_t second = name.find('/', first + 1);
      const std::string row = name.substr(0, first);
      const std::string threads = name.substr(first + 1, second - first - 1);
      const std::string who = name.substr(second + 1);
      const double gflops = Median(series.gflops);
      std::printf("%-16s %3s %-14s %10.4f %9.1f %6.0f%% %8.2fx  %s\n", row.c_str(), threads.c_str(),
                  who.c_str(), Median(series.milliseconds), gflops,
                  100 * Ratio(gflops, std::string(kPeak) + "/" + threads + "/matmul"),
                  Ratio(gflops, row + "/" + threads + "/" + kBaseline), series.label.c_str());
    }
  }

 private:
  struct Series {
    std::string label;
    std::vector<double> milliseconds;
    std::vector<double> gflops;
  };

  static double Median(std::vector<double> values) {
    if (values.empty()) return 0;
    std::nth_element(values.begin(), values.begin() + static_cast<long>(values.size() / 2),
                     values.end());
    return values[values.size() / 2];
  }

  // 0 when the run that is compared with was filtered out.
  double Ratio(double gflops, const std::string& to) const {
    const auto found = series_.find(to);
    return found == series_.end() ? 0.0 : gflops / Median(found->second.gflops);
  }

  std::map<std::string, Series> series_;
};

void Register(const std::string& name, std::function<void(benchmark::State&)> run) {
  benchmark::RegisterBenchmark(name.c_str(), std::move(run))
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}

void RegisterAll(const std::vector<ShapeRow>& rows, const Machine& machine) {
  const int threads = machine.pool->threads();
  const std::string count = fmt::format("/{}/", threads);
  Register(kPeak + count + "matmul", [=](auto& state) { RunPeak(state, threads); });
  for (const ShapeRow& row : rows) {
    if (!row.is_bench) continue;
    Register(row.name + count + kBaseline,
             [&row, threads](auto& state) { RunBaseline(state, row, threads); });
    const Strategy* planned = machine.planner->Choose(row.problem)->strategy;
    Register(row.name + count + kPlanned,
             [&row, planned](auto& state) { RunPlan(state, row, *planned); });
    for (const auto& strategy : machine.strategies) {
      if (strategy->name() == "reference" || !strategy->Supports(row.problem).ok()) continue;
      Register(row.name + count + std::string(strategy->name()),
               [&row, &strategy](auto& state) { RunPlan(state, row, *strategy); });
    }
  }
}

}  // namespace
}  // namespace tconv::server

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  const auto rows = tconv::testing::ReadShapeTable();
  const tconv::server::Machine one(1);
  const tconv::server::Machine two(2);
  tconv::server::RegisterAll(rows, one);
  tconv::server::RegisterAll(rows, two);
  tconv::server::TableReporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  return 0;
}
