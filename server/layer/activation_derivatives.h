// The derivatives of the activations, in the form that is stable for large and
// small z, for float and double; NaN gives NaN, except where the derivative is the
// same everywhere. At kinks they have the value that Keras on torch takes.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <numeric>
#include <span>
#include <vector>

#include "server/layer/activation_functions.h"

namespace tconv::server::activation {

// The derivative of a function that is either flat at z or has a slope there.
template <typename T>
T SlopeIf(T z, bool is_steep, Constant<T> slope = 1) {
  return Flat(z, is_steep ? slope : T{0});
}

// Keras composes relu of other functions, which shows at the kinks: relu6 is flat
// at its bound, where clip has a slope; leaky_relu has its slope at 0, where the
// sum of two one-sided parts is flat.
template <typename T>
T ReluDerivative(T z, T negative_slope, T max_value, T threshold) {
  const bool is_bounded = max_value < std::numeric_limits<T>::infinity();
  const bool is_relu6 = max_value == 6 && threshold == 0;
  const bool is_clipped = is_bounded && (z < 0 || z > max_value || (is_relu6 && z == max_value));
  const bool is_leaky = threshold == 0 && !is_bounded;
  const T above = is_clipped ? T{0} : T{1};
  const T below = SlopeIf(z, z < threshold || is_leaky, negative_slope);
  return z > threshold ? above : below;
}

template <typename T>
T LeakyReluDerivative(T z, T negative_slope) {
  return z > 0 ? T{1} : Flat(z, negative_slope);
}

template <typename T>
T EluDerivative(T z, T alpha) {
  return z > 0 ? T{1} : alpha * std::exp(z);
}

template <typename T>
T SeluDerivative(T z) {
  return static_cast<T>(kSeluScale) * EluDerivative(z, static_cast<T>(kSeluAlpha));
}

template <typename T>
T CeluDerivative(T z, T alpha) {
  return z > 0 ? T{1} : std::exp(z / alpha);
}

// From 40 away from zero on it is 0 or 1 in both types, as that of the approximation
// from 30 on; the squares and cubes of larger z overflow.
template <typename T>
T GeluDerivative(T z) {
  const T x = Clip(z, -40, 40);
  const T density = std::exp(-x * x / 2) * std::sqrt(std::numbers::inv_pi_v<T> / 2);
  return std::erfc(-x / std::numbers::sqrt2_v<T>) / 2 + x * density;
}

// 1 - tanh^2, without its cancellation.
template <typename T>
T TanhDerivative(T z) {
  const T e = std::exp(-2 * std::abs(z));
  return 4 * e / ((1 + e) * (1 + e));
}

template <typename T>
T ApproximateGeluDerivative(T z) {
  const T x = Clip(z, -30, 30);
  const T scale = std::sqrt(2 * std::numbers::inv_pi_v<T>);
  const T cubic = static_cast<T>(0.044715) * x * x;
  const T u = scale * x * (1 + cubic);
  return (1 + std::tanh(u)) / 2 + x / 2 * TanhDerivative(u) * scale * (1 + 3 * cubic);
}

template <typename T>
T SigmoidDerivative(T z) {
  const T e = std::exp(-std::abs(z));
  return e / ((1 + e) * (1 + e));
}

template <typename T>
T HardSigmoidDerivative(T z, Constant<T> slope) {
  const T value = slope * z + T{0.5};
  return SlopeIf(z, 0 < value && value < 1, slope);
}

// From 800 away from zero on the second term is 0 in both types.
template <typename T>
T SiluDerivative(T z) {
  const T x = Clip(z, -800, 800);
  return Sigmoid(x) + x * SigmoidDerivative(x);
}

template <typename T>
T HardSiluDerivative(T z) {
  const T between = z / 3 + T{0.5};
  return z <= -3 ? T{0} : (z >= 3 ? T{1} : between);
}

template <typename T>
T TanhShrinkDerivative(T z) {
  const T tanh = std::tanh(z);
  return tanh * tanh;
}

template <typename T>
T SoftsignDerivative(T z) {
  const T reciprocal = 1 / (1 + std::abs(z));
  return reciprocal * reciprocal;
}

template <typename T>
T SquareplusDerivative(T z, T b) {
  // z / sqrt(z^2 + b), where z^2 does not overflow.
  const T ratio =
      std::abs(z) > 1 ? std::copysign(1 / std::sqrt(1 + b / z / z), z) : z / std::sqrt(z * z + b);
  return (1 + ratio) / 2;
}

template <typename T>
T SparsePlusDerivative(T z) {
  const T between = (z + 1) / 2;
  return z <= -1 ? T{0} : (z >= 1 ? T{1} : between);
}

// z * t for the t = n / (n + 2) of Mish(), so t + z * (1 - t^2) * e / (1 + e), where
// 1 - t^2 is 4 (1 + e)^2 / (n + 2)^2. From 20 on it is 1 in both types.
template <typename T>
T MishDerivative(T z) {
  const T x = Clip(z, -800, 20);
  const T e = std::exp(x);
  const T n = e * (e + 2);
  return n / (n + 2) + x * 4 * e * (1 + e) / ((n + 2) * (n + 2));
}

// Along an axis: from dL/dy of one row to dL/dz. diff_z is apart from the others.

template <typename T>
void SoftmaxDerivative(std::span<const T> z, std::span<const T> diff_y, std::span<T> diff_z) {
  const std::span<T> y = diff_z;
  Softmax(z, y);
  double sum = 0;
  for (size_t i = 0; i < y.size(); ++i) {
    sum += static_cast<double>(y[i]) * static_cast<double>(diff_y[i]);
  }
  for (size_t i = 0; i < y.size(); ++i) diff_z[i] = y[i] * (diff_y[i] - static_cast<T>(sum));
}

template <typename T>
void LogSoftmaxDerivative(std::span<const T> z, std::span<const T> diff_y, std::span<T> diff_z) {
  const std::span<T> softmax = diff_z;
  Softmax(z, softmax);
  const double sum = std::accumulate(diff_y.begin(), diff_y.end(), 0.0);
  for (size_t i = 0; i < softmax.size(); ++i) {
    diff_z[i] = diff_y[i] - softmax[i] * static_cast<T>(sum);
  }
}

// y = max(z - tau, 0), and tau is the mean of the partial sums of the support: each
// element counts in it as often as it is part of one of these sums. The support
// itself counts as constant.
template <typename T>
void SparsemaxDerivative(std::span<const T> z, std::span<const T> diff_y, std::span<T> diff_z) {
  if (HasNaN(z)) {
    std::fill(diff_z.begin(), diff_z.end(), std::numeric_limits<T>::quiet_NaN());
    return;
  }
  std::vector<size_t> order(z.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return z[a] > z[b]; });
  std::vector<T> descending;
  for (const size_t i : order) descending.push_back(z[i]);
  const SparsemaxSupport<T> support = SupportOf<T>(descending);

  double sum = 0;
  for (size_t i = 0; i < z.size(); ++i) {
    diff_z[i] = z[i] - support.tau < 0 ? T{0} : diff_y[i];
    sum += static_cast<double>(diff_z[i]);
  }
  int64_t sums_with_element = 0;
  for (size_t m = z.size(); m-- > 0;) {
    sums_with_element += support.contains[m];
    if (sums_with_element == 0) continue;
    const double share = static_cast<double>(sums_with_element) / static_cast<double>(support.size);
    diff_z[order[m]] -= static_cast<T>(sum * share);
  }
}

// diff_y has half the length of z and diff_z.
template <typename T>
void GluDerivative(std::span<const T> z, std::span<const T> diff_y, std::span<T> diff_z) {
  const size_t half = diff_y.size();
  for (size_t i = 0; i < half; ++i) {
    const T gate = z[half + i];
    diff_z[i] = diff_y[i] * Sigmoid(gate);
    diff_z[half + i] = diff_y[i] * z[i] * SigmoidDerivative(gate);
  }
}

}  // namespace tconv::server::activation
