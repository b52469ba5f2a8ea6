// A layer from Keras' JSON on a tconv server, from C++. Usage: quickstart [host:port]
#include <tconv/client.h>

#include <cstdlib>
#include <iostream>
#include <span>
#include <vector>

namespace {

// The text of layer.get_config(), as json.dumps() prints it in Python.
constexpr char kKerasJson[] = R"({
  "name": "upsample", "filters": 1, "kernel_size": [2, 2], "strides": [2, 2],
  "padding": "valid", "data_format": "channels_last", "use_bias": true
})";

// The value of a result, or the end of the program with its error.
template <typename T>
T OrDie(absl::StatusOr<T> result) {
  if (result.ok()) return *std::move(result);
  std::cerr << result.status() << '\n';
  std::exit(EXIT_FAILURE);
}

}  // namespace

int main(int argc, char** argv) {
  const tconv::Client client(argc > 1 ? argv[1] : "127.0.0.1:8500");

  // Two input channels; an empty name lets the server take the one in the JSON.
  const tconv::v1::Layer layer = OrDie(
      client.Create({.definition = tconv::KerasJson{kKerasJson}, .input_shape = {-1, -1, -1, 2}}));
  std::cout << "created " << layer.name() << ", " << layer.parameter_count() << " parameters\n";

  // The kernel is [height, width, filters, channels], as Keras' get_weights().
  tconv::Weights weights{
      .kernel = OrDie(tconv::Tensor::FromValues<float>({2, 2, 1, 2}, {1, 0, 0, 1, 2, 0, 0, 2})),
      .bias = OrDie(tconv::Tensor::FromValues<float>({1}, {0.5f}))};
  const int64_t version = OrDie(client.SetWeights(layer.name(), std::move(weights)));
  std::cout << "weights are at version " << version << '\n';

  // One picture of 1 x 2 pixels becomes one of 2 x 4.
  const tconv::Tensor input = OrDie(tconv::Tensor::FromValues<float>({1, 1, 2, 2}, {1, 2, 3, 4}));
  const tconv::ForwardResult result = OrDie(client.Forward(layer.name(), input));
  std::cout << "output " << tconv::ToString(result.output.shape()) << ':';
  const std::span<const float> values = OrDie(result.output.values<float>());
  for (const float value : values) std::cout << ' ' << value;
  std::cout << '\n';

  if (const absl::Status status = client.Delete(layer.name()); !status.ok()) {
    std::cerr << status << '\n';
    return EXIT_FAILURE;
  }
}
