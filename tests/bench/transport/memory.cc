// How much memory a server needs for one call, and for callers that do nothing.

#include <grpcpp/create_channel.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "tests/bench/transport/stage.h"
#include "tests/support/process_memory.h"

namespace tconv::bench {
namespace {

constexpr double kMiB = 1 << 20;

double MiBOf(pid_t pid, const std::string& key) {
  return static_cast<double>(testing::MemoryOf(pid, key)) / kMiB;
}

void BenchCall(const char* what, const char* line, Transfer transfer, double target) {
  const auto server = StartServer();
  const Client client(server->target());
  const BenchLayer layer(line);
  layer.CreateOn(client);
  const Tensor input = layer.Input();
  const double before = MiBOf(server->pid(), "VmRSS");
  testing::ForgetPeak(server->pid());
  ForwardOrDie(client, layer, input, transfer);
  const double grown = MiBOf(server->pid(), "VmHWM") - before;
  const double tensors = static_cast<double>(layer.input_bytes() + layer.output_bytes()) / kMiB;
  std::printf("| %s | %.0f | %.0f | **%.2fx** | %.0fx |\n", what, tensors, grown, grown / tensors,
              target);
  std::fflush(stdout);
}

// A volume whose output has more than 4 GiB, through a server that may hold a
// small part of it, from a client that holds none.
void BenchVolume() {
  constexpr int64_t kMaxStreamMiB = 256;
  const auto server = StartServer({"--max-stream-bytes=" + std::to_string(kMaxStreamMiB) + "M"});
  const Client client(server->target(), {.timeout = std::chrono::minutes(10)});
  const BenchLayer layer("volume 1x144x256x256x4 f=16 k=2 s=2");
  layer.CreateOn(client);
  const double before = MiBOf(server->pid(), "VmRSS");
  testing::ForgetPeak(server->pid());
  int64_t received = 0;
  const InputStream input = {
      .info = {v1::DATA_TYPE_FLOAT32, layer.input_shape()},
      .read = [](std::span<std::byte> chunk) -> absl::StatusOr<size_t> {
        std::fill(chunk.begin(), chunk.end(), std::byte{0x3c});
        return chunk.size();
      },
  };
  const auto begin = Clock::now();
  Check(client
            .ForwardStream(layer.name(), input,
                           [&](const TensorInfo&, std::span<const std::byte> piece) {
                             received += static_cast<int64_t>(piece.size());
                             return absl::OkStatus();
                           })
            .status(),
        "ForwardStream");
  const double seconds = Microseconds(Clock::now() - begin) * 1e-6;
  std::printf(
      "\nA stream of %.0f MiB in and %.0f MiB out through --max-stream-bytes=%ldM: the server grew "
      "by %.0f MiB, in %.1f s.\n",
      static_cast<double>(layer.input_bytes()) / kMiB, static_cast<double>(received) / kMiB,
      static_cast<long>(kMaxStreamMiB), MiBOf(server->pid(), "VmHWM") - before, seconds);
}

void BenchIdleConnections() {
  constexpr int kConnections = 1000;
  const auto server = StartServer();
  const double before = MiBOf(server->pid(), "VmRSS");
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (int i = 0; i < kConnections; ++i) {
    grpc::ChannelArguments arguments;
    arguments.SetInt("grpc.use_local_subchannel_pool", 1);
    channels.push_back(
        grpc::CreateCustomChannel(server->target(), grpc::InsecureChannelCredentials(), arguments));
    Check(Client(ConnectOver(channels.back())).CheckHealth(), "CheckHealth");
  }
  std::printf("\n%d idle connections take %.0f MiB (target: less than 100 MB).\n", kConnections,
              MiBOf(server->pid(), "VmRSS") - before);
}

}  // namespace

void BenchMemory() {
  std::printf(
      "\n## Memory of the server\n\n"
      "| one call | input and output, MiB | growth at the peak, MiB | ratio | target, at most |\n"
      "|---|---|---|---|---|\n");
  BenchCall("message, 128 MB each way", "m 1x1024x2048x16 f=16 k=1", Transfer::kMessage, 3);
  BenchCall("message, 500 MB each way", "m 1x2048x4000x16 f=16 k=1", Transfer::kMessage, 3);
  BenchCall("message, 64 MB in, 256 MB out", "m 1x1024x1024x16 f=16 k=2 s=2", Transfer::kMessage,
            3);
  BenchCall("stream, 128 MB each way", "m 1x1024x2048x16 f=16 k=1", Transfer::kStream, 2);
  BenchCall("stream, 500 MB each way", "m 1x2048x4000x16 f=16 k=1", Transfer::kStream, 2);
  BenchVolume();
  BenchIdleConnections();
}

}  // namespace tconv::bench
