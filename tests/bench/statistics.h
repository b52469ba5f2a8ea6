// The averages of the benchmarks.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

namespace tconv::bench {

// REQUIRES: not empty.
inline double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// 1 for no values.
inline double GeometricMean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += std::log(value);
  return values.empty() ? 1.0 : std::exp(sum / static_cast<double>(values.size()));
}

}  // namespace tconv::bench
