// Forward of one cheap layer over TCP, over a Unix socket and in shared memory:
// medians, and their ratios to shared memory. The ways take turns, so that whatever else the
// machine does hits all of them.

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <tconv/client.h>
#include <tconv/shared_memory.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "server/app/app.h"

namespace tconv {
namespace {

using Micros = std::chrono::duration<double, std::micro>;

template <typename T>
T ValueOrDie(absl::StatusOr<T> value) {
  if (value.ok()) return *std::move(value);
  fmt::print(stderr, "{}\n", value.status().ToString());
  std::exit(1);
}

v1::LayerConfig CheapConfig() {
  v1::LayerConfig config;
  config.set_class_name("Conv2DTranspose");
  config.set_filters(16);
  config.add_kernel_size(1);
  config.add_kernel_size(1);
  return config;
}

double MedianMicros(std::vector<double> times) {
  std::nth_element(times.begin(), times.begin() + std::ssize(times) / 2, times.end());
  return times[times.size() / 2];
}

struct Way {
  const char* name;
  std::function<void()> run;
  std::vector<double> times = {};
};

void Measure(std::vector<Way>& ways, int rounds) {
  constexpr int kWarmUp = 3;
  for (int round = 0; round < rounds + kWarmUp; ++round) {
    for (Way& way : ways) {
      const auto begin = std::chrono::steady_clock::now();
      way.run();
      const Micros time = std::chrono::steady_clock::now() - begin;
      if (round >= kWarmUp) way.times.push_back(time.count());
    }
  }
}

void Bench(const std::string& tcp_target, const std::string& unix_target,
           const std::string& memory_socket, size_t bytes) {
  const Client tcp(tcp_target);
  const Client unix_socket(unix_target);
  const Shape shape = {1, static_cast<int64_t>(bytes / 64 / 256), 256, 16};
  const std::vector<float> values(bytes / sizeof(float), 1);
  const Tensor input = ValueOrDie(Tensor::FromValues<float>(shape, values));
  const SharedMemory memory = ValueOrDie(SharedMemory::Open(memory_socket, 2 * bytes));
  SharedTensor shared_input = ValueOrDie(memory.Allocate(v1::DATA_TYPE_FLOAT32, shape));
  SharedTensor shared_output = ValueOrDie(memory.Allocate(v1::DATA_TYPE_FLOAT32, shape));
  std::ranges::copy(values, ValueOrDie(shared_input.values<float>()).begin());

  std::vector<Way> ways = {
      {"TCP", [&] { ValueOrDie(tcp.Forward("cheap", input, {.transfer = Transfer::kMessage})); }},
      {"Unix socket",
       [&] { ValueOrDie(unix_socket.Forward("cheap", input, {.transfer = Transfer::kMessage})); }},
      {"shared memory", [&] { ValueOrDie(tcp.Forward("cheap", shared_input, shared_output)); }},
      {"shared memory, call by Unix socket",
       [&] { ValueOrDie(unix_socket.Forward("cheap", shared_input, shared_output)); }},
  };
  Measure(ways, bytes >= (size_t{8} << 20) ? 30 : 150);
  const double shared = MedianMicros(ways[2].times);
  fmt::print("{} KiB in, {} KiB out\n", bytes >> 10, bytes >> 10);
  for (const Way& way : ways) {
    const double median = MedianMicros(way.times);
    fmt::print("  {:<36}{:>10.0f} us {:>7.2f} x\n", way.name, median, median / shared);
  }
}

int Main() {
  spdlog::set_level(spdlog::level::off);
  const std::string folder = fmt::format("/tmp/tconv-bench-{}", getpid());
  const std::string unix_target = "unix:" + folder + "-grpc.sock";
  server::ServerOptions options;
  options.grpc.addresses = {"127.0.0.1:0", unix_target};
  options.store = "memory:";
  options.shared_memory_socket = folder + "-memory.sock";
  const auto app = ValueOrDie(server::App::Start(options));
  const std::string& tcp_target = app->addresses().front();
  ValueOrDie(
      Client(tcp_target)
          .Create({.name = "cheap", .definition = CheapConfig(), .input_shape = {-1, -1, -1, 16}}));
  for (const size_t bytes :
       {size_t{64} << 10, size_t{1} << 20, size_t{16} << 20, size_t{64} << 20}) {
    Bench(tcp_target, unix_target, options.shared_memory_socket, bytes);
  }
  return 0;
}

}  // namespace
}  // namespace tconv

int main() { return tconv::Main(); }
