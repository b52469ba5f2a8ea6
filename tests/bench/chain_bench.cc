// One call of a chain against a call of each of its layers, by a client over loopback:
// medians, and their ratio. The ways take turns, so that whatever else the machine does
// hits both.

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <tconv/client.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "server/app/app.h"
#include "tests/bench/statistics.h"

namespace tconv {
namespace {

using Micros = std::chrono::duration<double, std::micro>;

template <typename T>
T ValueOrDie(absl::StatusOr<T> value) {
  if (value.ok()) return *std::move(value);
  fmt::print(stderr, "{}\n", value.status().ToString());
  std::exit(1);
}

// Layers with kernels of 4 x 4 that double both axes, as in the decoders of GANs.
struct Decoder {
  const char* name;
  Shape input;                   // [batch, height, width, channels]
  std::vector<int64_t> filters;  // of each layer; relu between, tanh at the end
  int rounds;
};

const Decoder kDecoders[] = {
    {"DCGAN-like, 128 to 3 filters", {1, 4, 4, 256}, {128, 64, 32, 3}, 400},
    {"DCGAN-like, batch of 8", {8, 4, 4, 256}, {128, 64, 32, 3}, 100},
    {"DCGAN, 512 to 3 filters", {1, 4, 4, 1024}, {512, 256, 128, 3}, 60},
    {"tail of pix2pix", {1, 32, 32, 512}, {128, 64, 3}, 30},
};

v1::LayerConfig DoublingLayer(int64_t filters, const char* activation) {
  v1::LayerConfig config;
  config.set_class_name("Conv2DTranspose");
  config.set_filters(filters);
  for (int axis = 0; axis < 2; ++axis) {
    config.add_kernel_size(4);
    config.add_strides(2);
  }
  config.set_padding(v1::PADDING_SAME);
  config.mutable_activation()->set_name(activation);
  return config;
}

// The names of its layers; the chain of them has the name of the decoder.
std::vector<std::string> Create(const Client& client, const Decoder& decoder) {
  std::vector<std::string> layers;
  std::vector<ChainStep> steps;
  int64_t channels = decoder.input.back();
  for (const int64_t filters : decoder.filters) {
    const bool is_last = layers.size() + 1 == decoder.filters.size();
    layers.push_back(fmt::format("{} {}", decoder.name, layers.size()));
    ValueOrDie(client.Create({.name = layers.back(),
                              .definition = DoublingLayer(filters, is_last ? "tanh" : "relu"),
                              .input_shape = {-1, -1, -1, channels}}));
    steps.emplace_back(layers.back());
    channels = filters;
  }
  ValueOrDie(client.CreateChain(decoder.name, steps));
  return layers;
}

Tensor Noise(const Shape& shape) {
  int64_t count = 1;
  for (const int64_t extent : shape) count *= extent;
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) {
    values.push_back(static_cast<float>(i * 7919 % 1000) / 500 - 1);
  }
  return ValueOrDie(Tensor::FromValues<float>(shape, values));
}

template <typename Call>
double TimeOf(Call call) {
  const auto begin = std::chrono::steady_clock::now();
  call();
  return Micros(std::chrono::steady_clock::now() - begin).count();
}

void Measure(const Client& client, const Decoder& decoder) {
  constexpr int kWarmUp = 5;
  const std::vector<std::string> layers = Create(client, decoder);
  const Tensor input = Noise(decoder.input);
  std::vector<double> separate;
  std::vector<double> chained;
  ForwardResult layer_by_layer;
  ForwardResult at_once;
  for (int round = 0; round < decoder.rounds + kWarmUp; ++round) {
    const double separate_time = TimeOf([&] {
      layer_by_layer = ValueOrDie(client.Forward(layers.front(), input));
      for (size_t i = 1; i < layers.size(); ++i) {
        layer_by_layer = ValueOrDie(client.Forward(layers[i], layer_by_layer.output));
      }
    });
    const double chained_time =
        TimeOf([&] { at_once = ValueOrDie(client.Forward(decoder.name, input)); });
    if (round < kWarmUp) continue;
    separate.push_back(separate_time);
    chained.push_back(chained_time);
  }
  const double separate_median = bench::Median(separate);
  const double chained_median = bench::Median(chained);
  fmt::print("{:<32}{:>8.0f} us {:>8.0f} us {:>6.2f} x   {}\n", decoder.name, separate_median,
             chained_median, separate_median / chained_median,
             layer_by_layer.output.bytes() == at_once.output.bytes() ? "same bits" : "OTHER BITS");
}

int Main() {
  spdlog::set_level(spdlog::level::off);
  server::ServerOptions options;
  options.grpc.addresses = {"127.0.0.1:0"};
  options.store = "memory:";
  const auto app = ValueOrDie(server::App::Start(options));
  const Client client(app->addresses().front());
  fmt::print("{:<32}{:>11} {:>11}\n", "", "separate", "chain");
  for (const Decoder& decoder : kDecoders) Measure(client, decoder);
  return 0;
}

}  // namespace
}  // namespace tconv

int main() { return tconv::Main(); }
