// What one call costs beyond its computation, as a ratio to gRPC's own cost for
// the same bytes.

#include <tconv/v1/transposed_conv.grpc.pb.h>

#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "tests/bench/statistics.h"
#include "tests/bench/transport/cpus.h"
#include "tests/bench/transport/raw_client.h"
#include "tests/bench/transport/stage.h"

namespace tconv::bench {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;
// Generated code is slow and hungry beyond.
constexpr int64_t kLargestPlain = 128 * kMiB;
constexpr int64_t kSmallestStream = kMiB;

// The output has as many bytes as the input, and the computation is little.
struct Size {
  const char* text;
  const char* line;
  int calls_in_a_round;
  double message_target;
  double stream_target;
};
constexpr Size kSizes[] = {
    {"1 KB", "kb1 1x4x4x16 f=16 k=1", 400, 1.15, 0},
    {"64 KB", "kb64 1x32x32x16 f=16 k=1", 300, 1.15, 0},
    {"1 MB", "mb1 1x128x128x16 f=16 k=1", 60, 1.2, 0},
    {"16 MB", "mb16 1x512x512x16 f=16 k=1", 8, 1.5, 1.2},
    {"128 MB", "mb128 1x1024x2048x16 f=16 k=1", 2, 1.6, 1.1},
    {"500 MB", "mb500 1x2048x4000x16 f=16 k=1", 1, 1.6, 1.1},
};

struct Times {
  std::vector<double> echo;
  std::vector<double> compute;
  std::vector<double> message;
  std::vector<double> stream;
  std::vector<double> plain;
};

grpc::ByteBuffer BufferOf(const Tensor& tensor) {
  const grpc::Slice slice(tensor.bytes().data(), tensor.bytes().size());
  return {&slice, 1};
}

v1::ForwardRequest ProtoOf(const Tensor& tensor) {
  v1::ForwardRequest request;
  request.mutable_input()->set_dtype(tensor.dtype());
  for (const int64_t extent : tensor.shape()) request.mutable_input()->add_shape(extent);
  request.mutable_input()->set_data(std::string(tensor.bytes()));
  return request;
}

// Everyone in turns, so that a disturbance meets all of them.
Times Measure(const Size& size, const BenchLayer& layer, const Client& client, RawClient& echo,
              v1::TransposedConvService::Stub& plain, const Machine& machine, int rounds) {
  const Tensor input = layer.Input();
  const grpc::ByteBuffer bytes = BufferOf(input);
  const bool has_plain = layer.input_bytes() <= kLargestPlain;
  const v1::ForwardRequest proto = has_plain ? ProtoOf(input) : v1::ForwardRequest();
  const Contender computation = layer.InProcess(machine);
  grpc::ByteBuffer received;

  const auto repeat = [&](std::vector<double>& times, auto work) {
    for (int i = 0; i < size.calls_in_a_round; ++i) times.push_back(MicrosecondsOf(work));
  };
  Times times;
  for (int round = 0; round <= rounds; ++round) {
    if (round == 1) times = {};  // the first one is a warm-up
    repeat(times.echo, [&] { return echo.Call("/bench/Echo", bytes, &received); });
    received.Clear();
    repeat(times.compute, [&] { return computation.run().ok(); });
    repeat(times.message, [&] {
      return ForwardOrDie(client, layer, input, Transfer::kMessage).weights_version > 0;
    });
    if (layer.input_bytes() >= kSmallestStream) {
      repeat(times.stream, [&] {
        return ForwardOrDie(client, layer, input, Transfer::kStream).weights_version > 0;
      });
    }
    if (!has_plain) continue;
    repeat(times.plain, [&] {
      grpc::ClientContext context;
      v1::ForwardResponse response;
      return plain.Forward(&context, proto, &response).ok();
    });
  }
  return times;
}

std::string RatioText(const std::vector<double>& times, const Times& all, double target) {
  if (times.empty()) return "|";
  const double ratio = (Median(times) - Median(all.compute)) / Median(all.echo);
  char text[64];
  std::snprintf(text, sizeof(text), "| %.0f, **%.2fx**%s ", Median(times), ratio,
                target > 0 && ratio > target ? " (missed)" : "");
  return text;
}

}  // namespace

void BenchLatency(const std::string& echo_target, const std::string& plain_target, int rounds,
                  bool is_pinned) {
  const auto server = StartServer();
  if (is_pinned) RunOn(CpuPart::kCallers);
  const Client client(server->target());
  const Machine machine(1);
  RawClient echo(echo_target);
  RawClient to_plain(plain_target);
  const auto plain = v1::TransposedConvService::NewStub(to_plain.channel());

  std::printf(
      "## Latency\n\nMedians in microseconds. In bold: the time less the computation's, over "
      "the echo's.\n\n"
      "| input, output | echo | computation | message | stream | generated code | over ours |\n"
      "|---|---|---|---|---|---|---|\n");
  for (const Size& size : kSizes) {
    const BenchLayer layer(size.line);
    layer.CreateOn(client);
    const Times times = Measure(size, layer, client, echo, *plain, machine, rounds);
    std::printf("| %s | %.0f | %.0f %s%s", size.text, Median(times.echo), Median(times.compute),
                RatioText(times.message, times, size.message_target).c_str(),
                RatioText(times.stream, times, size.stream_target).c_str());
    if (times.plain.empty()) {
      std::printf("| | |\n");
    } else {
      const auto& best = times.stream.empty() ? times.message : times.stream;
      std::printf("| %.0f | %.2fx |\n", Median(times.plain),
                  Median(times.plain) / (Median(best) - Median(times.compute)));
    }
    std::fflush(stdout);
    Check(client.Delete(layer.name()), "Delete");
  }
}

}  // namespace tconv::bench
