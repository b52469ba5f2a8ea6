// Arrays of model files in tests.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "formats/array.h"
#include "formats/npy.h"

namespace tconv::testing {

inline formats::Array ReadArray(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return formats::ReadNpy(file).value();
}

inline bool SameArray(const formats::Array& a, const formats::Array& b) {
  return a.dtype == b.dtype && a.shape == b.shape &&
         std::equal(a.bytes.begin(), a.bytes.end(), b.bytes.begin(), b.bytes.end());
}

// REQUIRES: float32.
inline std::vector<float> FloatsOf(const formats::Array& array) {
  std::vector<float> values(array.bytes.size() / sizeof(float));
  std::memcpy(values.data(), array.bytes.data(), array.bytes.size());
  return values;
}

}  // namespace tconv::testing
