#include "client/cli/super_resolution.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "client/cli/upscale.h"
#include "tests/support/status_matchers.h"

namespace tconv::cli {
namespace {

using tconv::testing::IsOk;
using tconv::testing::StatusIs;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::FloatNear;

size_t Index(int64_t value) { return static_cast<size_t>(value); }

Picture MakePicture(int64_t width, int64_t height, int64_t channels) {
  Picture picture{.width = width, .height = height, .channels = channels};
  for (int64_t i = 0; i < width * height * channels; ++i) {
    picture.samples.push_back(static_cast<uint8_t>(i * 97 % 251));
  }
  return picture;
}

// [batch, H, W, 1] with every element as 2 x 2.
Tensor Double(const Tensor& tensor) {
  const Shape in = tensor.shape();
  const std::span<const float> values = *tensor.values<float>();
  std::vector<float> doubled;
  for (int64_t row = 0; row < in[0] * in[1] * 2; ++row) {
    for (int64_t x = 0; x < in[2] * 2; ++x) {
      doubled.push_back(values[Index(row / 2 * in[2] + x / 2)]);
    }
  }
  return *Tensor::FromValues<float>({in[0], in[1] * 2, in[2] * 2, 1}, doubled);
}

TEST(SuperResolutionTest, BeginsWithTheBilinearKernelInTheMiddle) {
  const Tensor start = LearnerStart(), bilinear = BilinearKernel(2, 1);
  const v1::LayerConfig config = LearnerConfig();
  EXPECT_EQ(start.shape(), (Shape{config.kernel_size(0), config.kernel_size(1), 1, 1}));
  const auto values = *start.values<float>();
  EXPECT_FLOAT_EQ(std::accumulate(values.begin(), values.end(), 0.0f), 4);
  const auto middle = *bilinear.values<float>();
  for (int64_t row = 0; row < 4; ++row) {
    for (int64_t column = 0; column < 4; ++column) {
      EXPECT_EQ(values[Index((row + 2) * kLearnerTaps + column + 2)],
                middle[Index(row * 4 + column)]);
    }
  }
}

TEST(SuperResolutionTest, CropsOddExtents) {
  const Picture picture{
      .width = 3, .height = 3, .channels = 1, .samples = {1, 2, 3, 4, 5, 6, 7, 8, 9}};
  const Picture even = CropToEven(picture);
  EXPECT_EQ(even.width, 2);
  EXPECT_EQ(even.height, 2);
  EXPECT_THAT(even.samples, ElementsAre(1, 2, 4, 5));
}

TEST(SuperResolutionTest, HalvesByRoundedMeans) {
  const Picture picture{
      .width = 4, .height = 2, .channels = 1, .samples = {0, 1, 255, 255, 0, 1, 255, 255}};
  const Picture half = Halve(picture);
  EXPECT_EQ(half.width, 2);
  EXPECT_EQ(half.height, 1);
  EXPECT_THAT(half.samples, ElementsAre(1, 255));
}

TEST(SuperResolutionTest, FindsThePictureInAnOutput) {
  const Picture small = MakePicture(5, 3, 4);
  const auto large = FromPlanes(Double(ToPlanes(small)), small);
  ASSERT_THAT(large, IsOk());
  EXPECT_EQ(large->width, 10);
  EXPECT_EQ(large->height, 6);
  EXPECT_EQ(Halve(*large).samples, small.samples);
}

TEST(SuperResolutionTest, RefusesAnOutputOfAnotherShape) {
  const Picture small = MakePicture(5, 3, 3);
  EXPECT_THAT(FromPlanes(ToPlanes(small), small), StatusIs(absl::StatusCode::kInternal));
}

TEST(SuperResolutionTest, MeasuresTheNoiseOfTheColumnsThatCount) {
  const Picture truth{.width = 2, .height = 2, .channels = 1, .samples = {0, 10, 0, 10}};
  const Picture noisy{.width = 2, .height = 2, .channels = 1, .samples = {99, 11, 99, 9}};
  EXPECT_NEAR(Psnr(noisy, truth, 1), 20 * std::log10(255.0), 1e-9);
}

TEST(PatchSamplerTest, DrawsPatchesWithTheirHalves) {
  const Picture picture = MakePicture(100, 80, 3);
  PatchSampler sampler(picture, 100);
  const PatchSampler::Patches patches = sampler.Next();
  EXPECT_THAT(patches.small.shape(), ElementsAre(24, 32, 32, 1));
  EXPECT_THAT(patches.large.shape(), ElementsAre(24, 64, 64, 1));
  const Tensor doubled = Double(patches.small);
  const auto small = *doubled.values<float>();
  const auto large = *patches.large.values<float>();
  EXPECT_NEAR(std::accumulate(large.begin(), large.end(), 0.0),
              std::accumulate(small.begin(), small.end(), 0.0), 0.1);
  EXPECT_NEAR(small[0], (large[0] + large[1] + large[64] + large[65]) / 4, 1e-6);
}

TEST(PatchSamplerTest, FadesToZeroAtTheBorders) {
  const Picture white{
      .width = 64, .height = 64, .channels = 1, .samples = std::vector<uint8_t>(64 * 64, 255)};
  PatchSampler sampler(white, 64);
  const Tensor large = sampler.Next().large;
  const auto values = *large.values<float>();
  const float middle = 127.0f / 128;
  EXPECT_NEAR(values[0], middle / 256, 1e-6);
  EXPECT_NEAR(values[32], middle / 16, 1e-6);
  EXPECT_NEAR(values[64 * 32 + 32], middle, 1e-6);
  EXPECT_NEAR(values[64 * 64 - 1], middle / 256, 1e-6);
}

TEST(PatchSamplerTest, NeverSeesTheOtherColumns) {
  Picture picture = MakePicture(70, 64, 1);
  for (int64_t i = 0; i < 70 * 64; ++i) picture.samples[Index(i)] = i % 70 < 66 ? 128 : 255;
  PatchSampler sampler(picture, 66);
  for (int i = 0; i < 5; ++i) {
    const Tensor large = sampler.Next().large;
    EXPECT_THAT(*large.values<float>(), Each(FloatNear(0, 0)));
  }
}

TEST(PatchSamplerTest, DrawsTheSameInEveryRun) {
  const Picture picture = MakePicture(200, 100, 3);
  PatchSampler one(picture, 150), other(picture, 150);
  one.Next();
  const Tensor a = one.Next().large;
  other.Next();
  const Tensor b = other.Next().large;
  EXPECT_EQ(a.bytes(), b.bytes());
}

}  // namespace
}  // namespace tconv::cli
