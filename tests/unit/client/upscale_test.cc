#include "client/cli/upscale.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/support/status_matchers.h"

namespace tconv::cli {
namespace {

using tconv::testing::IsOk;
using tconv::testing::StatusIs;

Picture MakePicture(int64_t width, int64_t height, int64_t channels) {
  Picture picture{.width = width, .height = height, .channels = channels};
  for (int64_t i = 0; i < width * height * channels; ++i) {
    picture.samples.push_back(static_cast<uint8_t>(i * 97 % 251));
  }
  return picture;
}

// What the server computes, by the definition of a transposed convolution with
// "same" padding: every input pixel scattered through the kernel, then cropped.
Tensor TransposedConvolution(const Tensor& input, const Tensor& kernel, int64_t scale) {
  const Shape in = input.shape();
  const int64_t taps = kernel.shape()[0], channels = in[3], crop = (taps - scale) / 2;
  const int64_t height = in[1] * scale, width = in[2] * scale;
  const auto x = *input.values<float>();
  const auto w = *kernel.values<float>();
  std::vector<float> y(static_cast<size_t>(height * width * channels));
  for (int64_t i = 0; i < in[1] * in[2] * taps * taps * channels * channels; ++i) {
    int64_t rest = i;
    const auto next = [&rest](int64_t extent) {
      const int64_t index = rest % extent;
      rest /= extent;
      return index;
    };
    const int64_t ic = next(channels), oc = next(channels), kx = next(taps), ky = next(taps);
    const int64_t column = next(in[2]), row = rest;
    const int64_t out_y = row * scale + ky - crop, out_x = column * scale + kx - crop;
    if (out_y < 0 || out_y >= height || out_x < 0 || out_x >= width) continue;
    y[static_cast<size_t>((out_y * width + out_x) * channels + oc)] +=
        x[static_cast<size_t>((row * in[2] + column) * channels + ic)] *
        w[static_cast<size_t>(((ky * taps + kx) * channels + oc) * channels + ic)];
  }
  return *Tensor::FromValues<float>({1, height, width, channels}, y);
}

// Bilinear interpolation between the middles of pixels, the edges continued.
double Interpolate(const Picture& picture, int64_t x, int64_t y, int64_t channel, int64_t scale) {
  const auto s = static_cast<double>(scale);
  const double source_x = (static_cast<double>(x) + 0.5) / s - 0.5;
  const double source_y = (static_cast<double>(y) + 0.5) / s - 0.5;
  const auto pixel = [&](int64_t column, int64_t row) {
    column = std::clamp<int64_t>(column, 0, picture.width - 1);
    row = std::clamp<int64_t>(row, 0, picture.height - 1);
    const int64_t index = (row * picture.width + column) * picture.channels + channel;
    return static_cast<double>(picture.samples[static_cast<size_t>(index)]);
  };
  const auto left = static_cast<int64_t>(std::floor(source_x));
  const auto top = static_cast<int64_t>(std::floor(source_y));
  return std::lerp(
      std::lerp(pixel(left, top), pixel(left + 1, top), source_x - std::floor(source_x)),
      std::lerp(pixel(left, top + 1), pixel(left + 1, top + 1), source_x - std::floor(source_x)),
      source_y - std::floor(source_y));
}

TEST(UpscaleTest, IsBilinearInterpolationAtEveryScaleUpToTheEdges) {
  for (int64_t scale = kSmallestScale; scale <= kLargestScale; ++scale) {
    for (const int64_t channels : {3, 4}) {
      const Picture picture = MakePicture(5, 3, channels);
      const Tensor output =
          TransposedConvolution(ToTensor(picture), BilinearKernel(scale, channels), scale);
      const auto scaled = FromOutput(output, picture, scale);
      ASSERT_THAT(scaled, IsOk());
      ASSERT_EQ(scaled->width, 5 * scale);
      ASSERT_EQ(scaled->height, 3 * scale);
      for (size_t i = 0; i < scaled->samples.size(); ++i) {
        const auto index = static_cast<int64_t>(i);
        const int64_t pixel = index / channels;
        ASSERT_NEAR(scaled->samples[i],
                    Interpolate(picture, pixel % scaled->width, pixel / scaled->width,
                                index % channels, scale),
                    0.5001)
            << "scale " << scale << ", sample " << i;
      }
    }
  }
}

TEST(UpscaleTest, ConfiguresTheKernelThatItMakes) {
  for (int64_t scale = kSmallestScale; scale <= kLargestScale; ++scale) {
    const v1::LayerConfig config = BilinearConfig(scale, 3);
    const Shape shape = BilinearKernel(scale, 3).shape();
    EXPECT_EQ(shape, (Shape{config.kernel_size(0), config.kernel_size(1), config.filters(), 3}));
  }
}

TEST(UpscaleTest, RefusesAnOutputOfAnotherShape) {
  const Picture picture = MakePicture(2, 2, 3);
  EXPECT_THAT(FromOutput(ToTensor(picture), picture, 2), StatusIs(absl::StatusCode::kInternal));
}

}  // namespace
}  // namespace tconv::cli
