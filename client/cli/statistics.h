// Numbers about many measurements.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace tconv::cli {

// The smallest measurement that at least `fraction` of all do not exceed.
// REQUIRES: sorted and not empty, 0 <= fraction <= 1.
inline double Percentile(const std::vector<double>& sorted, double fraction) {
  const double rank = std::ceil(fraction * static_cast<double>(sorted.size()));
  return sorted[static_cast<size_t>(std::max(rank, 1.0)) - 1];
}

// NaN for none.
inline double Median(std::vector<double> values) {
  if (values.empty()) return std::nan("");
  std::sort(values.begin(), values.end());
  return Percentile(values, 0.5);
}

}  // namespace tconv::cli
