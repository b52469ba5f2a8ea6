// Pictures up-scaled by a bilinear transposed convolution.
#pragma once

#include <tconv/client.h>

#include <cstdint>

#include "client/cli/picture.h"

namespace tconv::cli {

inline constexpr int64_t kSmallestScale = 2;
inline constexpr int64_t kLargestScale = 8;

// A Conv2DTranspose without bias that maps [1, H, W, channels] to
// [1, H * scale, W * scale, channels] with "same" padding.
v1::LayerConfig BilinearConfig(int64_t scale, int64_t channels);

// The weights that make it bilinear interpolation, each channel by itself:
// [k, k, channels, channels] with k = 2 * scale - scale % 2.
Tensor BilinearKernel(int64_t scale, int64_t channels);

// [1, height + 2, width + 2, channels] in float32, the outermost pixels
// repeated: beyond its input a layer sees zeros, which would darken the edges.
Tensor ToTensor(const Picture& picture);

// The picture in an output of the layer: without what became of the repeated
// pixels, rounded to 0 to 255.
// INTERNAL: `output` is not what the layer makes of ToTensor(picture).
absl::StatusOr<Picture> FromOutput(const Tensor& output, const Picture& picture, int64_t scale);

}  // namespace tconv::cli
