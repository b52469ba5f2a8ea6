// What the fuzzers of Keras' JSON have in common.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "server/base/status.h"

namespace tconv::server {

// Stops the fuzzer, which then keeps the input.
inline void Check(bool condition, std::string_view what, const std::string& context) {
  if (condition) return;
  std::cerr << what << ": " << context << "\n";
  std::abort();
}

// A user's mistake, and never anything else.
inline void CheckRefusal(const Status& status) {
  Check(status.code() == StatusCode::kInvalidArgument, "unexpected error", status.ToString());
}

// Lets the fuzzer start from the golden cases that have `file`, for chance does not
// find the keys. To be called once, by LLVMFuzzerInitialize().
inline void SeedFromGoldenCases(const std::string& file, int* argc, char*** argv) {
  static std::string seeds = "-seed_inputs=";
  for (const auto& entry : std::filesystem::directory_iterator(TCONV_GOLDEN_CASES)) {
    const auto text = entry.path() / file;
    if (std::filesystem::exists(text)) seeds += text.string() + ",";
  }
  seeds.pop_back();
  static std::vector<char*> arguments(*argv, *argv + *argc);
  arguments.push_back(seeds.data());
  *argc = static_cast<int>(arguments.size());
  arguments.push_back(nullptr);
  *argv = arguments.data();
}

}  // namespace tconv::server
