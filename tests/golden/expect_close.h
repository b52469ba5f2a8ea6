// Comparing what a server answers with what Keras computed.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/golden/golden_case.h"

namespace tconv::testing {

// Accepts |a - b| <= atol + rtol * |b|, with both of `tolerance`; not-a-number and
// infinities have to be the same.
inline void ExpectClose(const Tensor& actual, const GoldenCase& golden, const std::string& recorded,
                        const nlohmann::json& tolerance) {
  const Tensor expected = golden.Array(recorded);
  ASSERT_EQ(actual.shape(), expected.shape()) << recorded;
  const double rtol = tolerance.at("rtol");
  const double atol = tolerance.at("atol");
  const std::vector<double> a = ToDoubles(actual);
  const std::vector<double> b = ToDoubles(expected);
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    ASSERT_LE(std::abs(a[i] - b[i]), atol + rtol * std::abs(b[i])) << recorded << "[" << i << "]";
  }
}

}  // namespace tconv::testing
