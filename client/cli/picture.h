// Pictures as .png.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace tconv::cli {

// Rows of pixels, [height, width, channels], without padding.
struct Picture {
  int64_t width = 0;
  int64_t height = 0;
  // 3: red, green, blue; 4: and alpha. Gray pictures are read as 3.
  int64_t channels = 0;
  // sRGB values from 0 to 255.
  std::vector<uint8_t> samples = {};
};

// INVALID_ARGUMENT: cannot be opened, is not a valid .png, or has more samples
// than a call can carry.
absl::StatusOr<Picture> ReadPng(const std::string& path);

// UNKNOWN: cannot be written.
absl::Status WritePng(const std::string& path, const Picture& picture);

}  // namespace tconv::cli
