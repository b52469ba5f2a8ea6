#include "client/cli/super_resolution.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "client/cli/status_macros.h"
#include "client/cli/upscale.h"

namespace tconv::cli {
namespace {

constexpr int64_t kScale = 2;
// Pixels of the small picture to either side that a pixel of the large one depends on.
constexpr int64_t kReach = kLearnerTaps / (2 * kScale);
constexpr int64_t kBatch = 24;
constexpr int64_t kFadePixels = 8;

// Samples are from 0 to 255; gray is zero for the layer.
constexpr float kGray = 128;

size_t Index(int64_t value) { return static_cast<size_t>(value); }

float ToValue(uint8_t sample) { return (static_cast<float>(sample) - kGray) / kGray; }

uint8_t ToSample(float value) {
  return static_cast<uint8_t>(std::lround(std::clamp(value * kGray + kGray, 0.0f, 255.0f)));
}

uint8_t SampleAt(const Picture& picture, int64_t x, int64_t y, int64_t channel) {
  return picture.samples[Index((y * picture.width + x) * picture.channels + channel)];
}

// [batch, extent, extent, 1] as means of 2 x 2 elements.
std::vector<float> Halve(const std::vector<float>& large, int64_t extent) {
  std::vector<float> small;
  small.reserve(large.size() / 4);
  const auto row_pairs = static_cast<int64_t>(large.size()) / (2 * extent);
  for (int64_t pair = 0; pair < row_pairs; ++pair) {
    const float* upper = &large[Index(2 * pair * extent)];
    const float* lower = upper + extent;
    for (int64_t x = 0; x < extent; x += 2) {
      small.push_back((upper[x] + upper[x + 1] + lower[x] + lower[x + 1]) / 4);
    }
  }
  return small;
}

}  // namespace

v1::LayerConfig LearnerConfig() {
  v1::LayerConfig config = BilinearConfig(kScale, /*channels=*/1);
  for (int64_t& taps : *config.mutable_kernel_size()) taps = kLearnerTaps;
  return config;
}

Tensor LearnerStart() {
  const Tensor bilinear = BilinearKernel(kScale, /*channels=*/1);
  const std::span<const float> values = *bilinear.values<float>();
  const int64_t taps = bilinear.shape()[0];
  const int64_t margin = (kLearnerTaps - taps) / 2;
  std::vector<float> kernel(Index(kLearnerTaps * kLearnerTaps));
  for (int64_t row = 0; row < taps; ++row) {
    std::copy_n(values.begin() + row * taps, taps,
                kernel.begin() + (row + margin) * kLearnerTaps + margin);
  }
  return *Tensor::FromValues<float>({kLearnerTaps, kLearnerTaps, 1, 1}, kernel);
}

Picture CropToEven(const Picture& picture) {
  Picture even{.width = picture.width - picture.width % 2,
               .height = picture.height - picture.height % 2,
               .channels = picture.channels};
  even.samples.reserve(Index(even.width * even.height * even.channels));
  for (int64_t y = 0; y < even.height; ++y) {
    const uint8_t* row = &picture.samples[Index(y * picture.width * picture.channels)];
    even.samples.insert(even.samples.end(), row, row + even.width * even.channels);
  }
  return even;
}

Picture Halve(const Picture& picture) {
  Picture half{
      .width = picture.width / 2, .height = picture.height / 2, .channels = picture.channels};
  for (int64_t y = 0; y < picture.height; y += 2) {
    for (int64_t x = 0; x < picture.width; x += 2) {
      for (int64_t c = 0; c < picture.channels; ++c) {
        const int sum = SampleAt(picture, x, y, c) + SampleAt(picture, x + 1, y, c) +
                        SampleAt(picture, x, y + 1, c) + SampleAt(picture, x + 1, y + 1, c);
        half.samples.push_back(static_cast<uint8_t>((sum + 2) / 4));
      }
    }
  }
  return half;
}

Tensor ToPlanes(const Picture& picture) {
  std::vector<float> values;
  for (int64_t c = 0; c < picture.channels; ++c) {
    for (int64_t y = -kReach; y < picture.height + kReach; ++y) {
      for (int64_t x = -kReach; x < picture.width + kReach; ++x) {
        values.push_back(ToValue(SampleAt(picture, std::clamp<int64_t>(x, 0, picture.width - 1),
                                          std::clamp<int64_t>(y, 0, picture.height - 1), c)));
      }
    }
  }
  return *Tensor::FromVector<float>(
      {picture.channels, picture.height + 2 * kReach, picture.width + 2 * kReach, 1},
      std::move(values));
}

absl::StatusOr<Picture> FromPlanes(const Tensor& output, const Picture& small) {
  const int64_t rows = (small.height + 2 * kReach) * kScale;
  const int64_t columns = (small.width + 2 * kReach) * kScale;
  const Shape expected = {small.channels, rows, columns, 1};
  if (output.shape() != expected) {
    return absl::InternalError(fmt::format("output.shape: expected {}, got {}", ToString(expected),
                                           ToString(output.shape())));
  }
  TCONV_CLI_ASSIGN_OR_RETURN(const std::span<const float> values, output.values<float>());
  Picture picture{
      .width = small.width * kScale, .height = small.height * kScale, .channels = small.channels};
  for (int64_t y = kReach * kScale; y < rows - kReach * kScale; ++y) {
    for (int64_t x = kReach * kScale; x < columns - kReach * kScale; ++x) {
      for (int64_t c = 0; c < small.channels; ++c) {
        picture.samples.push_back(ToSample(values[Index((c * rows + y) * columns + x)]));
      }
    }
  }
  return picture;
}

double Psnr(const Picture& picture, const Picture& truth, int64_t first_column) {
  double sum = 0;
  for (int64_t y = 0; y < truth.height; ++y) {
    for (int64_t x = first_column; x < truth.width; ++x) {
      for (int64_t c = 0; c < truth.channels; ++c) {
        sum += std::pow(SampleAt(picture, x, y, c) - SampleAt(truth, x, y, c), 2);
      }
    }
  }
  const auto count =
      static_cast<double>(truth.height * (truth.width - first_column) * truth.channels);
  return 10 * std::log10(255.0 * 255.0 * count / sum);
}

PatchSampler::PatchSampler(const Picture& picture, int64_t columns)
    : picture_(picture), columns_(columns) {
  for (int64_t i = 0; i < kPatchPixels; ++i) {
    const auto from_border = static_cast<float>(std::min(i, kPatchPixels - 1 - i)) + 0.5f;
    fade_.push_back(std::min(from_border / kFadePixels, 1.0f));
  }
}

void PatchSampler::Draw(std::vector<float>& large) {
  const auto upto = [this](int64_t last) {
    return std::uniform_int_distribution<int64_t>(0, last)(random_);
  };
  const int64_t top = upto(picture_.height - kPatchPixels);
  const int64_t left = upto(columns_ - kPatchPixels);
  const int64_t channel = upto(picture_.channels - 1);
  for (int64_t y = 0; y < kPatchPixels; ++y) {
    for (int64_t x = 0; x < kPatchPixels; ++x) {
      const float value = ToValue(SampleAt(picture_, left + x, top + y, channel));
      large.push_back(value * fade_[Index(y)] * fade_[Index(x)]);
    }
  }
}

PatchSampler::Patches PatchSampler::Next() {
  std::vector<float> large;
  large.reserve(Index(kBatch * kPatchPixels * kPatchPixels));
  for (int64_t i = 0; i < kBatch; ++i) Draw(large);
  std::vector<float> small = Halve(large, kPatchPixels);
  constexpr int64_t kSmallPixels = kPatchPixels / kScale;
  return {.small =
              *Tensor::FromVector<float>({kBatch, kSmallPixels, kSmallPixels, 1}, std::move(small)),
          .large = *Tensor::FromVector<float>({kBatch, kPatchPixels, kPatchPixels, 1},
                                              std::move(large))};
}

}  // namespace tconv::cli
