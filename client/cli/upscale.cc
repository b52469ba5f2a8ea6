#include "client/cli/upscale.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "client/cli/status_macros.h"

namespace tconv::cli {
namespace {

size_t Index(int64_t value) { return static_cast<size_t>(value); }

// Weight of a pixel in the output sample at each of the k taps: a triangle of
// half-width `scale` around the middle, so that taps one stride apart, those
// that meet in one sample, add up to 1.
std::vector<float> Triangle(int64_t scale) {
  const int64_t taps = 2 * scale - scale % 2;
  const double middle = static_cast<double>(taps - 1) / 2;
  std::vector<float> weights;
  for (int64_t tap = 0; tap < taps; ++tap) {
    const double distance = std::abs(static_cast<double>(tap) - middle);
    weights.push_back(static_cast<float>(1 - distance / static_cast<double>(scale)));
  }
  return weights;
}

}  // namespace

v1::LayerConfig BilinearConfig(int64_t scale, int64_t channels) {
  const int64_t taps = 2 * scale - scale % 2;
  v1::LayerConfig config;
  config.set_class_name("Conv2DTranspose");
  config.set_filters(channels);
  for (int axis = 0; axis < 2; ++axis) {
    config.add_kernel_size(taps);
    config.add_strides(scale);
  }
  config.set_padding(v1::PADDING_SAME);
  config.set_use_bias(false);
  return config;
}

Tensor BilinearKernel(int64_t scale, int64_t channels) {
  const std::vector<float> triangle = Triangle(scale);
  std::vector<float> kernel;
  for (const float row : triangle) {
    for (const float column : triangle) {
      for (int64_t out = 0; out < channels; ++out) {
        for (int64_t in = 0; in < channels; ++in) kernel.push_back(in == out ? row * column : 0);
      }
    }
  }
  const auto taps = static_cast<int64_t>(triangle.size());
  return *Tensor::FromValues<float>({taps, taps, channels, channels}, kernel);
}

Tensor ToTensor(const Picture& picture) {
  std::vector<float> values;
  values.reserve(Index((picture.height + 2) * (picture.width + 2) * picture.channels));
  for (int64_t y = -1; y <= picture.height; ++y) {
    const int64_t row = std::clamp<int64_t>(y, 0, picture.height - 1) * picture.width;
    for (int64_t x = -1; x <= picture.width; ++x) {
      const int64_t pixel = row + std::clamp<int64_t>(x, 0, picture.width - 1);
      const uint8_t* samples = &picture.samples[Index(pixel * picture.channels)];
      values.insert(values.end(), samples, samples + picture.channels);
    }
  }
  return *Tensor::FromValues<float>({1, picture.height + 2, picture.width + 2, picture.channels},
                                    values);
}

absl::StatusOr<Picture> FromOutput(const Tensor& output, const Picture& picture, int64_t scale) {
  const int64_t padded_width = (picture.width + 2) * scale;
  const Shape expected = {1, (picture.height + 2) * scale, padded_width, picture.channels};
  if (output.shape() != expected) {
    return absl::InternalError(fmt::format("output.shape: expected {}, got {}", ToString(expected),
                                           ToString(output.shape())));
  }
  TCONV_CLI_ASSIGN_OR_RETURN(const std::span<const float> values, output.values<float>());
  Picture scaled{.width = picture.width * scale,
                 .height = picture.height * scale,
                 .channels = picture.channels};
  scaled.samples.reserve(Index(scaled.width * scaled.height * scaled.channels));
  for (int64_t y = 0; y < scaled.height; ++y) {
    const int64_t first_pixel = (y + scale) * padded_width + scale;
    const auto row =
        values.subspan(Index(first_pixel * scaled.channels), Index(scaled.width * scaled.channels));
    for (const float value : row) {
      scaled.samples.push_back(static_cast<uint8_t>(std::lround(std::clamp(value, 0.0f, 255.0f))));
    }
  }
  return scaled;
}

}  // namespace tconv::cli
