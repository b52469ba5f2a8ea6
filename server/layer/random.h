// Random numbers that depend on the seed alone: the standard library's
// distributions differ between implementations.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <random>

namespace tconv::server {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  // Uniform in [0, 1): the upper 53 bits of the engine as a binary fraction.
  double Uniform() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }

  // Standard normal, by the Box-Muller transform.
  double Normal() {
    const double radius = std::sqrt(-2 * std::log(1 - Uniform()));
    return radius * std::cos(2 * std::numbers::pi * Uniform());
  }

  // Standard normal, drawn again while outside of [-2, 2].
  double TruncatedNormal() {
    double value = Normal();
    while (std::abs(value) > 2) value = Normal();
    return value;
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace tconv::server
