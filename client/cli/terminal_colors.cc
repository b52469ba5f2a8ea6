#include "client/cli/terminal_colors.h"

#include <fmt/format.h>

#include <cmath>

namespace tconv::cli {
namespace {

// Of the 256 colors the last 24 are grays, and those from 16 on a cube of 6 x 6 x 6.
constexpr int kFirstGray = 232;
constexpr int kLastGray = 255;
constexpr int kFirstOfCube = 16;
constexpr int kBlack = 16;
constexpr int kWhite = 231;
constexpr char kReset[] = "\x1b[0m";

int InCube(const uint8_t* rgb) {
  const auto level = [](uint8_t sample) { return (sample * 5 + 127) / 255; };
  return kFirstOfCube + 36 * level(rgb[0]) + 6 * level(rgb[1]) + level(rgb[2]);
}

}  // namespace

std::string OnGray(const std::string& text, double share) {
  const auto gray = kFirstGray + static_cast<int>(std::lround(share * (kLastGray - kFirstGray)));
  return fmt::format("\x1b[48;5;{}m\x1b[38;5;{}m{}{}", gray, share < 0.5 ? kWhite : kBlack, text,
                     kReset);
}

std::string HalfBlocks(const Picture& picture) {
  const auto color_at = [&picture](int64_t x, int64_t y) {
    return InCube(picture.samples.data() + (y * picture.width + x) * picture.channels);
  };
  std::string text;
  for (int64_t y = 0; y < picture.height; y += 2) {
    text += "  ";
    for (int64_t x = 0; x < picture.width; ++x) {
      text += fmt::format("\x1b[38;5;{}m", color_at(x, y));
      if (y + 1 < picture.height) text += fmt::format("\x1b[48;5;{}m", color_at(x, y + 1));
      text += "▀";
    }
    text += kReset;
    text += '\n';
  }
  return text;
}

}  // namespace tconv::cli
