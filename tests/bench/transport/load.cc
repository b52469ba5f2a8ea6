// Many callers at once.

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/bench/transport/raw_client.h"
#include "tests/bench/transport/stage.h"

namespace tconv::bench {
namespace {

using std::chrono::milliseconds;

constexpr int kCallers = 8;
constexpr int kTurns = 3;
constexpr char kSmall[] = "small 1x4x4x16 f=16 k=1";
// 3.4 GFLOP: much more than it costs to carry half a megabyte each way.
constexpr char kHeavy[] = "heavy 1x16x16x512 f=512 k=5 same";
// The first layer of DCGAN: its weights take 52 MB.
constexpr char kWide[] = "wide 1x4x4x1024 f=512 k=5 s=2 same";

double CallsPerSecond(const std::vector<double>& times, milliseconds duration) {
  return static_cast<double>(times.size()) * 1000.0 / static_cast<double>(duration.count());
}

void Append(std::vector<double>& all, const std::vector<double>& more) {
  all.insert(all.end(), more.begin(), more.end());
}

void PrintRow(const char* what, const std::vector<double>& times, milliseconds duration) {
  std::printf("| %s | %.0f | %.0f | %.0f | %.0f |\n", what, CallsPerSecond(times, duration),
              Percentile(times, 0.5), Percentile(times, 0.9), Percentile(times, 0.99));
}

constexpr char kHead[] = "| who | calls/s | p50 us | p90 us | p99 us |\n|---|---|---|---|---|\n";

std::vector<double> Load(const Client& client, const BenchLayer& layer, int callers,
                         milliseconds duration) {
  const Tensor input = layer.Input();
  return RunForAWhile(callers, duration, [&](int) { ForwardOrDie(client, layer, input); });
}

void BenchSmall(const std::string& echo_target, milliseconds duration) {
  const auto server = StartServer();
  const Client client(server->target());
  const BenchLayer layer(kSmall);
  layer.CreateOn(client);
  const RawClient channel(echo_target);
  std::vector<std::unique_ptr<RawClient>> echoes;
  for (int i = 0; i < kCallers; ++i) {
    echoes.push_back(std::make_unique<RawClient>(channel.channel()));
  }
  const grpc::Slice slice(std::string(static_cast<size_t>(layer.input_bytes()), 'x'));
  const grpc::ByteBuffer bytes(&slice, 1);
  std::vector<grpc::ByteBuffer> received(kCallers);

  std::vector<double> echo_times;
  std::vector<double> times;
  for (int turn = 0; turn < kTurns; ++turn) {
    Append(echo_times, RunForAWhile(kCallers, duration, [&](int i) {
             const auto caller = static_cast<size_t>(i);
             Check(echoes[caller]->Call("/bench/Echo", bytes, &received[caller]), "the echo");
           }));
    Append(times, Load(client, layer, kCallers, duration));
  }
  std::printf("\n## %d callers of a small layer, 1 KB each way\n\n%s", kCallers, kHead);
  PrintRow("echo", echo_times, kTurns * duration);
  PrintRow("tconv", times, kTurns * duration);
  std::printf("\nThroughput: **%.2fx** the echo's (target 0.85x).\n",
              static_cast<double>(times.size()) / static_cast<double>(echo_times.size()));
}

void BenchHeavy(milliseconds duration) {
  const auto server = StartServer();
  const Client client(server->target());
  const BenchLayer layer(kHeavy);
  layer.CreateOn(client);
  const int threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  std::vector<std::unique_ptr<const Machine>> machines;
  std::vector<Contender> computations;
  for (int i = 0; i < threads; ++i) {
    machines.push_back(std::make_unique<const Machine>(1));
    computations.push_back(layer.InProcess(*machines.back()));
  }

  std::vector<double> local_times;
  std::vector<double> times;
  Load(client, layer, kCallers, milliseconds(200));
  for (int turn = 0; turn < kTurns; ++turn) {
    Append(local_times, RunForAWhile(threads, duration, [&](int i) {
             Check(computations[static_cast<size_t>(i)].run(), "the computation");
           }));
    Append(times, Load(client, layer, kCallers, duration));
  }
  std::printf("\n## %d callers of a layer that computes, against %d threads in this process\n\n%s",
              kCallers, threads, kHead);
  PrintRow("in this process", local_times, kTurns * duration);
  PrintRow("tconv", times, kTurns * duration);
  std::printf(
      "\nThroughput: **%.2fx** this process's (target 0.95x). p99 is **%.2fx** p50 (target 2.5x "
      "at most).\n",
      static_cast<double>(times.size()) / static_cast<double>(local_times.size()),
      Percentile(times, 0.99) / Percentile(times, 0.5));
}

}  // namespace

void BenchLoad(const std::string& echo_target, milliseconds duration) {
  BenchSmall(echo_target, duration);
  BenchHeavy(duration);
}

void BenchBatching(milliseconds duration) {
  constexpr int kBatchCallers = 16;
  const BenchLayer layer(kWide);
  const auto alone_server = StartServer({"--max-batch=1"});
  const auto batch_server = StartServer();
  const Client alone(alone_server->target());
  const Client batched(batch_server->target());
  layer.CreateOn(alone);
  layer.CreateOn(batched);
  Load(alone, layer, kBatchCallers, milliseconds(500));
  Load(batched, layer, kBatchCallers, milliseconds(500));

  std::vector<double> alone_times;
  std::vector<double> batched_times;
  std::vector<double> lone_alone;
  std::vector<double> lone_batched;
  for (int turn = 0; turn < kTurns; ++turn) {
    Append(alone_times, Load(alone, layer, kBatchCallers, duration));
    Append(batched_times, Load(batched, layer, kBatchCallers, duration));
    Append(lone_alone, Load(alone, layer, 1, duration));
    Append(lone_batched, Load(batched, layer, 1, duration));
  }
  std::printf("\n## %d callers of one layer whose weights take 52 MB\n\n%s", kBatchCallers, kHead);
  PrintRow("--max-batch=1", alone_times, kTurns * duration);
  PrintRow("batched", batched_times, kTurns * duration);
  PrintRow("a lone caller, --max-batch=1", lone_alone, kTurns * duration);
  PrintRow("a lone caller, batched", lone_batched, kTurns * duration);
  std::printf("\nThroughput: **%.2fx** of --max-batch=1. A lone caller waits **%.2fx** as long.\n",
              static_cast<double>(batched_times.size()) / static_cast<double>(alone_times.size()),
              Percentile(lone_batched, 0.5) / Percentile(lone_alone, 0.5));
}

}  // namespace tconv::bench
