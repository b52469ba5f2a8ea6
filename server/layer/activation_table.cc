#include "server/layer/activation_table.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include "server/layer/activation_derivatives.h"

namespace tconv::server::activation {
namespace {

template <typename T>
Arguments<T> Converted(const Arguments<double>& arguments) {
  Arguments<T> converted;
  std::transform(arguments.begin(), arguments.end(), converted.begin(),
                 [](double argument) { return static_cast<T>(argument); });
  return converted;
}

template <typename T, typename F>
void Map(const Arguments<double>& arguments, std::span<T> values) {
  const Arguments<T> converted = Converted<T>(arguments);
  for (T& value : values) value = F{}(value, converted);
}

template <typename T, typename Derivative>
void MultiplyBy(const Arguments<double>& arguments, std::span<const T> z, std::span<T> gradient) {
  const Arguments<T> converted = Converted<T>(arguments);
  for (size_t i = 0; i < z.size(); ++i) gradient[i] *= Derivative{}(z[i], converted);
}

// `F` and `Derivative` map (z, arguments) to f(z) and f'(z), in float and in double.
template <typename F, typename Derivative>
Function Elementwise(std::string_view name, F, Derivative, std::vector<Parameter> parameters = {},
                     std::vector<std::string_view> aliases = {}) {
  return {.signature = {name, std::move(aliases), std::move(parameters)},
          .elementwise = {{&Map<float, F>, &MultiplyBy<float, Derivative>},
                          {&Map<double, F>, &MultiplyBy<double, Derivative>}}};
}

// `apply` and `differentiate` take rows of float and of double.
template <typename Apply, typename Differentiate>
Function AlongAxis(std::string_view name, Apply apply, Differentiate differentiate,
                   std::vector<std::string_view> aliases = {}) {
  return {.signature = {name, std::move(aliases), {{"axis", -1.0, kInteger}}},
          .along_axis = {{apply, differentiate}, {apply, differentiate}},
          .is_elementwise = false};
}

Function Halving(Function function) {
  function.halves_axis = true;
  return function;
}

}  // namespace

const std::vector<Function>& Functions() {
  static const auto& functions = *new std::vector<Function>{
      Elementwise(
          "linear", [](auto z, const auto&) { return z; }, [](auto, const auto&) { return 1; }),
      Elementwise(
          "relu", [](auto z, const auto& a) { return Relu(z, a[0], a[1], a[2]); },
          [](auto z, const auto& a) { return ReluDerivative(z, a[0], a[1], a[2]); },
          {{"negative_slope", 0.0, kNumber, "alpha"},
           {"max_value", kNull, kNonNegativeOrNull},
           {"threshold", 0.0, kNumber}}),
      Elementwise(
          "leaky_relu", [](auto z, const auto& a) { return z < 0 ? a[0] * z : z; },
          [](auto z, const auto& a) { return LeakyReluDerivative(z, a[0]); },
          {{"negative_slope", 0.2, kNumber, "alpha"}}),
      Elementwise(
          "relu6", [](auto z, const auto&) { return Clip(z, 0, 6); },
          [](auto z, const auto&) { return SlopeIf(z, 0 < z && z < 6); }),
      Elementwise(
          "elu", [](auto z, const auto& a) { return Elu(z, a[0]); },
          [](auto z, const auto& a) { return EluDerivative(z, a[0]); }, {{"alpha", 1.0, kNumber}}),
      Elementwise(
          "selu", [](auto z, const auto&) { return Selu(z); },
          [](auto z, const auto&) { return SeluDerivative(z); }),
      Elementwise(
          "celu", [](auto z, const auto& a) { return Celu(z, a[0]); },
          [](auto z, const auto& a) { return CeluDerivative(z, a[0]); },
          {{"alpha", 1.0, kNonZero}}),
      Elementwise(
          "gelu", [](auto z, const auto& a) { return a[0] != 0 ? ApproximateGelu(z) : Gelu(z); },
          [](auto z, const auto& a) {
            return a[0] != 0 ? ApproximateGeluDerivative(z) : GeluDerivative(z);
          },
          {{"approximate", false, kBoolean}}),
      Halving(AlongAxis(
          "glu", [](auto z, auto y) { Glu(z, y); },
          [](auto z, auto diff_y, auto diff_z) { GluDerivative(z, diff_y, diff_z); })),
      Elementwise(
          "sigmoid", [](auto z, const auto&) { return Sigmoid(z); },
          [](auto z, const auto&) { return SigmoidDerivative(z); }),
      Elementwise(
          "hard_sigmoid", [](auto z, const auto& a) { return HardSigmoid(z, a[0]); },
          [](auto z, const auto& a) { return HardSigmoidDerivative(z, a[0]); },
          {{"slope", kHardSigmoidSlope, kPositive}}),
      Elementwise(
          "log_sigmoid", [](auto z, const auto&) { return -Softplus(-z); },
          [](auto z, const auto&) { return Sigmoid(-z); }),
      Elementwise(
          "sparse_sigmoid", [](auto z, const auto&) { return Clip((z + 1) / 2, 0, 1); },
          [](auto z, const auto&) { return SlopeIf(z, -1 < z && z < 1, 0.5); }),
      Elementwise(
          "silu", [](auto z, const auto&) { return z * Sigmoid(z); },
          [](auto z, const auto&) { return SiluDerivative(z); }, {}, {"swish"}),
      Elementwise(
          "hard_silu", [](auto z, const auto&) { return z * HardSigmoid(z, kHardSigmoidSlope); },
          [](auto z, const auto&) { return HardSiluDerivative(z); }, {}, {"hard_swish"}),
      Elementwise(
          "tanh", [](auto z, const auto&) { return std::tanh(z); },
          [](auto z, const auto&) { return TanhDerivative(z); }),
      Elementwise(
          "hard_tanh", [](auto z, const auto&) { return Clip(z, -1, 1); },
          [](auto z, const auto&) { return SlopeIf(z, -1 < z && z < 1); }),
      Elementwise(
          "tanh_shrink", [](auto z, const auto&) { return z - std::tanh(z); },
          [](auto z, const auto&) { return TanhShrinkDerivative(z); }),
      Elementwise(
          "soft_shrink", [](auto z, const auto& a) { return SoftShrink(z, a[0]); },
          [](auto z, const auto& a) { return SlopeIf(z, std::abs(z) > a[0]); },
          {{"threshold", 0.5, kNonNegative}}),
      Elementwise(
          "hard_shrink", [](auto z, const auto& a) { return std::abs(z) > a[0] ? z : Flat(z, 0); },
          [](auto z, const auto& a) { return SlopeIf(z, std::abs(z) > a[0]); },
          {{"threshold", 0.5, kNumber}}),
      Elementwise(
          "threshold", [](auto z, const auto& a) { return z > a[0] ? z : Flat(z, a[1]); },
          [](auto z, const auto& a) { return SlopeIf(z, z > a[0]); },
          {{"threshold", std::nullopt, kNumber}, {"default_value", std::nullopt, kNumber}}),
      Elementwise(
          "softplus", [](auto z, const auto&) { return Softplus(z); },
          [](auto z, const auto&) { return Sigmoid(z); }),
      Elementwise(
          "softsign", [](auto z, const auto&) { return z / (1 + std::abs(z)); },
          [](auto z, const auto&) { return SoftsignDerivative(z); }),
      Elementwise(
          "squareplus", [](auto z, const auto& a) { return (z + std::sqrt(z * z + a[0])) / 2; },
          [](auto z, const auto& a) { return SquareplusDerivative(z, a[0]); },
          {{"b", 4.0, kNumber}}),
      Elementwise(
          "sparse_plus", [](auto z, const auto&) { return SparsePlus(z); },
          [](auto z, const auto&) { return SparsePlusDerivative(z); }),
      Elementwise(
          "mish", [](auto z, const auto&) { return Mish(z); },
          [](auto z, const auto&) { return MishDerivative(z); }),
      Elementwise(
          "exponential", [](auto z, const auto&) { return std::exp(z); },
          [](auto z, const auto&) { return std::exp(z); }),
      AlongAxis(
          "softmax", [](auto z, auto y) { Softmax(z, y); },
          [](auto z, auto diff_y, auto diff_z) { SoftmaxDerivative(z, diff_y, diff_z); },
          {"softmax_v2"}),
      AlongAxis(
          "log_softmax", [](auto z, auto y) { LogSoftmax(z, y); },
          [](auto z, auto diff_y, auto diff_z) { LogSoftmaxDerivative(z, diff_y, diff_z); }),
      AlongAxis(
          "sparsemax", [](auto z, auto y) { Sparsemax(z, y); },
          [](auto z, auto diff_y, auto diff_z) { SparsemaxDerivative(z, diff_y, diff_z); }),
  };
  return functions;
}

}  // namespace tconv::server::activation
