// Requests a second of callers that send one small input after the other, with
// and without batching, and what the machine could do at best: as fast as its
// weights come from memory, once for each batch, and as fast as it multiplies.
//
//   batching_bench [seconds for each line]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "server/compute/strategies.h"
#include "server/compute/worker_pool.h"
#include "server/store/memory_store.h"
#include "tests/bench/case_cost.h"
#include "tests/bench/contenders.h"
#include "tests/bench/memory_limits.h"
#include "tests/support/lent_weights.h"
#include "tests/support/queued_forward.h"
#include "tests/support/shape_table.h"

namespace tconv::bench {
namespace {

using server::AdmissionQueue;
using server::LayerHost;
using server::Tensor;
using std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr int kThreads = 2;
constexpr int64_t kPeakMatmulSize = 2048;

// A host with one layer.
struct House {
  explicit House(const testing::ShapeRow& the_row) : row(the_row) {
    testing::LentWeights weights(testing::RandomWeights(row.problem, row.config.dtype.variable, 1));
    (void)host->Create({"layer", row.config, {}, weights.source()}).value();
  }

  const testing::ShapeRow row;
  const std::unique_ptr<server::WorkerPool> pool = server::WorkerPool::Make(kThreads).value();
  const std::unique_ptr<const server::Planner> planner =
      server::Planner::Make(*server::MakeStrategies(*pool), "").value();
  server::PlanCache plans{*planner, int64_t{1} << 30};
  server::MemoryStore store{int64_t{1} << 30};
  const std::unique_ptr<LayerHost> host = LayerHost::Open(store, plans, *pool, {}).value();
};

// The times of the calls of one caller until `end`, in milliseconds.
std::vector<double> CallUntil(steady_clock::time_point end, House& house, AdmissionQueue& queue) {
  const Tensor input =
      testing::RandomTensor(house.row.problem.src_shape(), house.row.problem.dtype, 1);
  std::vector<double> times;
  while (steady_clock::now() < end) {
    const auto begin = steady_clock::now();
    testing::QueuedForward call(*house.host, queue, "layer", input);
    if (!call.Call().ok()) std::abort();
    times.push_back(1e3 * Seconds(steady_clock::now() - begin).count());
  }
  return times;
}

void RunCallers(House& house, int callers, server::AdmissionLimits limits, Seconds seconds) {
  limits.handler_threads = kThreads + 6;
  AdmissionQueue queue(limits, &house.pool->slots());
  (void)CallUntil(steady_clock::now(), house, queue);
  std::vector<std::vector<double>> times(static_cast<size_t>(callers));
  const auto begin = steady_clock::now();
  const auto end = begin + std::chrono::duration_cast<steady_clock::duration>(seconds);
  std::vector<std::thread> threads;
  for (auto& of_caller : times) {
    threads.emplace_back([&] { of_caller = CallUntil(end, house, queue); });
  }
  for (std::thread& thread : threads) thread.join();
  const double elapsed = Seconds(steady_clock::now() - begin).count();
  std::vector<double> all;
  for (const auto& of_caller : times) all.insert(all.end(), of_caller.begin(), of_caller.end());
  std::sort(all.begin(), all.end());
  std::printf(
      "%-14s callers %2d, batch %2d, delay %4d us: %8.0f requests/s, median %7.3f ms, "
      "99 %% %7.3f ms\n",
      house.row.name.c_str(), callers, limits.max_batch,
      static_cast<int>(limits.batch_delay.count()), static_cast<double>(all.size()) / elapsed,
      all[all.size() / 2], all[all.size() * 99 / 100]);
}

double SecondsOf(const Contender& contender) {
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    const auto begin = steady_clock::now();
    if (!contender.run().ok()) std::abort();
    best = std::min(best, Seconds(steady_clock::now() - begin).count());
  }
  return best;
}

void PrintLimits(House& house) {
  const CaseCost cost = CostOf(house.row.problem);
  const double read = SecondsOf(MakeReadContender(*house.pool, cost.weights_bytes).value());
  constexpr double kSize = kPeakMatmulSize;
  const double peak =
      2 * kSize * kSize * kSize /
      SecondsOf(MakeMatmulContender(server::DType::kFloat32, kPeakMatmulSize, kThreads).value());
  EndOpenMpTeam();
  std::printf(
      "%-14s at most %.0f requests/s if each reads %.1f MB of weights, %.0f if only the "
      "%.0f GFLOP/s of the machine bound them\n",
      house.row.name.c_str(), 1 / read, 1e-6 * static_cast<double>(cost.weights_bytes),
      peak / cost.operations, 1e-9 * peak);
}

int Main(int argc, char** argv) {
  const Seconds seconds(argc > 1 ? std::atof(argv[1]) : 1.0);
  for (const char* line :
       {"dcgan_k5 1x4x4x1024 f=512 k=5 s=2 same", "dcgan_k4 1x4x4x1024 f=512 k=4 s=2 same",
        "cvae_1 1x7x7x32 f=64 k=3 s=2 same act=relu", "unet_up 1x28x28x256 f=128 k=2 s=2 act=relu",
        "tiny 1x2x2x16 f=8 k=3 s=2 same"}) {
    House house(testing::ParseShapeRow(line));
    PrintLimits(house);
    for (const int callers : {1, 16}) {
      for (const int max_batch : {1, 32})
        RunCallers(house, callers, {.max_batch = max_batch}, seconds);
    }
    RunCallers(house, 16, {.batch_delay = std::chrono::microseconds(200)}, seconds);
  }
  return 0;
}

}  // namespace
}  // namespace tconv::bench

int main(int argc, char** argv) { return tconv::bench::Main(argc, argv); }
