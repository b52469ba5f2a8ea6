// The demonstration that trains: a kernel learns to make a picture twice as large.
#pragma once

#include <absl/status/status.h>

#include <cstdint>
#include <string>

#include "client/cli/session.h"

namespace tconv::cli {

// What it is to do. Empty paths: nothing is written there.
struct TrainDemo {
  std::string input_path;
  // The picture halved and made as large again: by what was learned, and by the
  // bilinear kernel that it began with.
  std::string output_path, bilinear_path;
  std::string curve_path;
  int64_t steps = 400;
  bool keep = false;
};

// Halves the picture, lets a layer on the server learn from the left two thirds how to
// undo that, and compares on the rest, which it has not seen.
// INVALID_ARGUMENT: not a picture, or too small.
absl::Status RunTrainDemo(const TrainDemo& demo, Session& session);

}  // namespace tconv::cli
