// A layer on a tconv server that learns, from C++. Usage: training [host:port]
#include <tconv/client.h>

#include <cstdlib>
#include <iostream>
#include <utility>
#include <vector>

namespace {

// The value of a result, or the end of the program with its error.
template <typename T>
T OrDie(absl::StatusOr<T> result) {
  if (result.ok()) return *std::move(result);
  std::cerr << result.status() << '\n';
  std::exit(EXIT_FAILURE);
}

// One pixel of one channel becomes 2 x 2 of them.
tconv::v1::Layer CreateLayer(const tconv::Client& client) {
  constexpr char kKerasJson[] = R"({"name": "learner", "filters": 1, "kernel_size": [2, 2],
                                    "strides": [2, 2]})";
  return OrDie(
      client.Create({.definition = tconv::KerasJson{kKerasJson}, .input_shape = {-1, -1, -1, 1}}));
}

// What the layer is to learn: each output is three times its input.
std::vector<std::pair<tconv::Tensor, tconv::Tensor>> MakeBatches(int count) {
  std::vector<std::pair<tconv::Tensor, tconv::Tensor>> batches;
  for (int i = 0; i < count; ++i) {
    const float x = i % 2 == 0 ? 1 : -2;
    const float y = 3 * x;
    batches.emplace_back(OrDie(tconv::Tensor::FromValues<float>({1, 1, 1, 1}, {x})),
                         OrDie(tconv::Tensor::FromValues<float>({1, 2, 2, 1}, {y, y, y, y})));
  }
  return batches;
}

}  // namespace

int main(int argc, char** argv) {
  const tconv::Client client(argc > 1 ? argv[1] : "127.0.0.1:8500");
  const std::string name = CreateLayer(client).name();
  const auto batches = MakeBatches(200);

  tconv::v1::KerasObject adam, squares;
  adam.set_name("Adam");
  (*adam.mutable_arguments()->mutable_fields())["learning_rate"].set_number_value(0.1);
  squares.set_name("MeanSquaredError");
  OrDie(client.SetOptimizer(name, {.definition = adam}));
  double loss = 0;
  for (const auto& [input, target] : batches) {
    const auto step = OrDie(client.TrainStep(name, input, tconv::TrainTarget{target, squares}));
    loss = step.loss.value();
  }
  std::cout << "the loss after " << batches.size() << " steps is below 0.01: " << std::boolalpha
            << (loss < 0.01) << '\n';

  // The two halves of a step: here the loss is the sum of all outputs.
  const tconv::Tensor& input = batches.front().first;
  const auto upstream = OrDie(tconv::Tensor::FromValues<float>({1, 2, 2, 1}, {1, 1, 1, 1}));
  const auto gradients = OrDie(client.Backward(name, input, upstream));
  const auto step =
      OrDie(client.ApplyGradients(name, *gradients.weight_gradients, {.learning_rate = 1e-4}));
  std::cout << "weights are at version " << step.weights_version << '\n';

  if (const absl::Status status = client.Delete(name); !status.ok()) {
    std::cerr << status << '\n';
    return EXIT_FAILURE;
  }
  return loss < 0.01 ? EXIT_SUCCESS : EXIT_FAILURE;
}
