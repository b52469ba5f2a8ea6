// The formulas of the activations, in the form that is stable for large and
// small z, for float and double. Every one gives NaN for NaN: a comparison with
// NaN is false, so z itself is what the last branch returns or computes with.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <numbers>
#include <span>
#include <type_traits>
#include <vector>

namespace tconv::server::activation {

// The arguments of a function in the order of its signature; null is infinity,
// true is 1.
template <typename T>
using Arguments = std::array<T, 3>;

// Stands for an argument or constant that is converted to the type of z.
template <typename T>
using Constant = std::type_identity_t<T>;

constexpr double kHardSigmoidSlope = 1.0 / 6;
constexpr double kSeluAlpha = 1.6732632423543772;
constexpr double kSeluScale = 1.0507009873554805;

// `value` on a flat piece of a function, where z does not enter the formula.
template <typename T>
T Flat(T z, Constant<T> value) {
  return z == z ? value : z;
}

template <typename T>
T Clip(T z, Constant<T> low, Constant<T> high) {
  return z < low ? low : (z > high ? high : z);
}

template <typename T>
T Relu(T z, T negative_slope, T max_value, T threshold) {
  const bool is_bounded = max_value < std::numeric_limits<T>::infinity();
  const T above = is_bounded ? Clip(z, 0, max_value) : z;
  const T slope_part = negative_slope * (z - threshold);
  // Without a slope, 0 even for -infinity.
  const T below = negative_slope == 0 ? Flat(z, 0) : slope_part;
  return z > threshold ? above : below;
}

template <typename T>
T Elu(T z, T alpha) {
  return z > 0 ? z : alpha * std::expm1(z);
}

template <typename T>
T Selu(T z) {
  return static_cast<T>(kSeluScale) * Elu(z, static_cast<T>(kSeluAlpha));
}

template <typename T>
T Celu(T z, T alpha) {
  return z > 0 ? z : alpha * std::expm1(z / alpha);
}

template <typename T>
T Gelu(T z) {
  return z / 2 * (1 + std::erf(z / std::numbers::sqrt2_v<T>));
}

template <typename T>
T ApproximateGelu(T z) {
  const T scale = std::sqrt(2 * std::numbers::inv_pi_v<T>);
  return z / 2 * (1 + std::tanh(scale * (z + static_cast<T>(0.044715) * z * z * z)));
}

template <typename T>
T Sigmoid(T z) {
  const T e = std::exp(-std::abs(z));  // <= 1: does not overflow
  return (z < 0 ? e : T{1}) / (1 + e);
}

template <typename T>
T HardSigmoid(T z, Constant<T> slope) {
  return Clip(slope * z + T{0.5}, 0, 1);
}

template <typename T>
T Softplus(T z) {
  return (z < 0 ? T{0} : z) + std::log1p(std::exp(-std::abs(z)));
}

template <typename T>
T SparsePlus(T z) {
  const T between = (z + 1) * (z + 1) / 4;
  return z <= -1 ? T{0} : (z >= 1 ? z : between);
}

// z * tanh(log(1 + e^z)), where the hyperbolic tangent is n / (n + 2) for
// n = (1 + e^z)^2 - 1. From z = 20 on it is 1 in both types.
template <typename T>
T Mish(T z) {
  const T e = std::exp(z > 20 ? T{20} : z);
  const T n = e * (e + 2);
  return z * (n / (n + 2));
}

template <typename T>
T SoftShrink(T z, T threshold) {
  return std::abs(z) > threshold ? z - std::copysign(threshold, z) : Flat(z, 0);
}

// The functions along an axis map one row of it. y may be z.

template <typename T>
void Softmax(std::span<const T> z, std::span<T> y) {
  const T max = *std::max_element(z.begin(), z.end());
  double sum = 0;
  for (size_t i = 0; i < z.size(); ++i) {
    y[i] = std::exp(z[i] - max);
    sum += static_cast<double>(y[i]);
  }
  for (T& value : y) value /= static_cast<T>(sum);
}

template <typename T>
void LogSoftmax(std::span<const T> z, std::span<T> y) {
  const T max = *std::max_element(z.begin(), z.end());
  double sum = 0;
  for (const T value : z) sum += static_cast<double>(std::exp(value - max));
  const T log_sum = static_cast<T>(std::log(sum));
  for (size_t i = 0; i < z.size(); ++i) y[i] = z[i] - max - log_sum;
}

template <typename T>
bool HasNaN(std::span<const T> values) {
  return std::any_of(values.begin(), values.end(), [](T value) { return std::isnan(value); });
}

// Which elements of a row in descending order stay above zero in a sparsemax, and
// its threshold tau.
template <typename T>
struct SparsemaxSupport {
  std::vector<bool> contains;
  int64_t size = 0;
  T tau = 0;
};

// Keras' function, which is not the published one: tau takes the sum of the partial
// sums over the support where the definition has the last partial sum alone.
template <typename T>
SparsemaxSupport<T> SupportOf(std::span<const T> descending) {
  SparsemaxSupport<T> support;
  double partial_sum = 0;
  double sum = 0;
  for (size_t m = 0; m < descending.size(); ++m) {
    partial_sum += static_cast<double>(descending[m]);
    const T rest = descending[m] - (static_cast<T>(partial_sum) - 1) / static_cast<T>(m + 1);
    support.contains.push_back(rest > 0);
    if (rest > 0) {
      sum += partial_sum;
      ++support.size;
    }
  }
  support.tau = static_cast<T>((sum - 1) / static_cast<double>(support.size));
  return support;
}

template <typename T>
void Sparsemax(std::span<const T> z, std::span<T> y) {
  if (HasNaN(z)) {
    std::fill(y.begin(), y.end(), std::numeric_limits<T>::quiet_NaN());
    return;
  }
  std::vector<T> sorted(z.begin(), z.end());
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  const T tau = SupportOf<T>(sorted).tau;
  for (size_t i = 0; i < z.size(); ++i) {
    const T rest = z[i] - tau;
    y[i] = rest < 0 ? T{0} : rest;
  }
}

// y has half the length of z.
template <typename T>
void Glu(std::span<const T> z, std::span<T> y) {
  for (size_t i = 0; i < y.size(); ++i) y[i] = z[i] * Sigmoid(z[i + y.size()]);
}

}  // namespace tconv::server::activation
