// The table of the activations: signature, function and derivative of each.
#pragma once

#include <span>
#include <tuple>
#include <vector>

#include "server/layer/activation_functions.h"
#include "server/layer/signature.h"

namespace tconv::server::activation {

// A function of single elements, and its derivative, over runs of them.
template <typename T>
struct ElementwiseForm {
  // values = f(values)
  void (*apply)(const Arguments<double>& arguments, std::span<T> values) = nullptr;
  // gradient *= f'(z)
  void (*differentiate)(const Arguments<double>& arguments, std::span<const T> z,
                        std::span<T> gradient) = nullptr;
};

// A function along an axis, and its derivative, over one row of it. y may be z;
// diff_z is apart from the others.
template <typename T>
struct RowForm {
  void (*apply)(std::span<const T> z, std::span<T> y) = nullptr;
  void (*differentiate)(std::span<const T> z, std::span<const T> diff_y,
                        std::span<T> diff_z) = nullptr;
};

// One activation: element-wise, or along an axis.
struct Function {
  Signature signature;
  std::tuple<ElementwiseForm<float>, ElementwiseForm<double>> elementwise = {};
  std::tuple<RowForm<float>, RowForm<double>> along_axis = {};
  bool is_elementwise = true;
  bool halves_axis = false;
};

const std::vector<Function>& Functions();

}  // namespace tconv::server::activation
