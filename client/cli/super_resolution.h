// Pictures made twice as large by a kernel that is learned from a picture.
#pragma once

#include <absl/status/statusor.h>
#include <tconv/client.h>

#include <cstdint>
#include <random>
#include <vector>

#include "client/cli/picture.h"

namespace tconv::cli {

// A Conv2DTranspose without bias that maps [batch, H, W, 1] to [batch, 2 H, 2 W, 1]
// with "same" padding. Every color is an image of its own to it.
v1::LayerConfig LearnerConfig();
inline constexpr int64_t kLearnerTaps = 8;

// Its kernel before it has learned anything: that of bilinear interpolation, with
// zeros around it.
Tensor LearnerStart();

// The picture without the last row and column where it has an odd number of them.
Picture CropToEven(const Picture& picture);

// Every 2 x 2 pixels as their mean. REQUIRES: even extents.
Picture Halve(const Picture& picture);

// The colors of a picture as inputs of the layer: [channels, H, W, 1] from -1 to 1, with
// the outermost pixels repeated as far as the kernel reaches.
Tensor ToPlanes(const Picture& picture);

// The picture in an output of the layer: without what became of the repeated pixels.
// INTERNAL: `output` is not what the layer makes of ToPlanes(small).
absl::StatusOr<Picture> FromPlanes(const Tensor& output, const Picture& small);

// How near `picture` is to `truth`, from a column on: the peak signal-to-noise ratio in
// dB. REQUIRES: the same extents, and more columns than that.
double Psnr(const Picture& picture, const Picture& truth, int64_t first_column);

// Draws what the layer learns from: places of a picture at half the size and as they
// are. The same in every run.
class PatchSampler {
 public:
  static constexpr int64_t kPatchPixels = 64;

  // From the first `columns` of the picture alone, which must outlive this.
  // REQUIRES: columns and rows for a patch.
  PatchSampler(const Picture& picture, int64_t columns);

  struct Patches {
    Tensor small;  // [batch, 32, 32, 1]
    Tensor large;  // [batch, 64, 64, 1]
  };
  Patches Next();

 private:
  // Adds one of a color at a random place.
  void Draw(std::vector<float>& large);

  const Picture& picture_;
  const int64_t columns_;
  // Beyond its input a layer sees zeros. Patches therefore fade to gray, which is zero,
  // at their borders: weights of their pixels along an axis.
  std::vector<float> fade_;
  std::mt19937_64 random_;
};

}  // namespace tconv::cli
