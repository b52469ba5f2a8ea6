// What tests of training ask of a small layer.
#pragma once

#include <tconv/client.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/support/small_layer.h"

namespace tconv::testing {

inline v1::KerasObject Object(const std::string& name,
                              std::vector<std::pair<std::string, double>> args) {
  v1::KerasObject object;
  object.set_name(name);
  for (const auto& [key, value] : args) {
    (*object.mutable_arguments()->mutable_fields())[key].set_number_value(value);
  }
  return object;
}

inline NewOptimizer Sgd(double learning_rate, double momentum = 0) {
  return {.definition = Object("SGD", {{"learning_rate", learning_rate}, {"momentum", momentum}})};
}

// dL/doutput of the sum of all outputs of a small layer. Its gradients by the kernel are 4
// each, for every weight meets four inputs, and by the bias 16.
inline Tensor OnesUpstream() { return Filled({1, 4, 4, 4}, 1); }

inline TrainTarget Target(float value) {
  return {.target = Filled({1, 4, 4, 4}, value), .loss = Object("MeanSquaredError", {})};
}

}  // namespace tconv::testing
