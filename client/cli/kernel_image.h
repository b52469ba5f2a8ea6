// The kernel of a layer as an image.
#pragma once

#include <tconv/tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "client/cli/picture.h"

namespace tconv::cli {

// From one index to another, which is not part of it.
struct IndexRange {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t size() const { return end - begin; }
};

// What can be said about all values of a kernel in a few numbers.
struct KernelStatistics {
  double smallest = 0;
  double largest = 0;
  double mean = 0;
  double deviation = 0;
  // NaN and infinities, which the others leave out.
  int64_t not_finite = 0;
};
KernelStatistics StatisticsOf(const Tensor& kernel);

// A grid of filters, downwards, and channels of the input, to the right. Each cell is
// the kernel between the two; one of three axes has its slices side by side. Pixels are
// weights as shares of the largest in the image, from -1 to 1; NaN where they are not
// finite; none between cells.
class KernelImage {
 public:
  // REQUIRES: a kernel of a server, [spatial..., filters, channels], and ranges inside of it.
  KernelImage(const Tensor& kernel, IndexRange filters, IndexRange channels);

  int64_t width() const { return width_; }
  int64_t height() const { return height_; }
  // The largest magnitude of a weight in the image.
  double scale() const { return scale_; }

  // Blue below zero, white, red above; magenta for what is not finite. Each weight is a
  // square of so many pixels.
  Picture ToPicture(int64_t pixels_per_weight) const;
  // Ninths of the scale: "-9  4  0".
  std::string ToText() const;

 private:
  using Pixel = std::optional<float>;
  Pixel& At(int64_t x, int64_t y) { return pixels_[static_cast<size_t>(y * width_ + x)]; }
  const Pixel& At(int64_t x, int64_t y) const {
    return pixels_[static_cast<size_t>(y * width_ + x)];
  }

  int64_t width_ = 0;
  int64_t height_ = 0;
  double scale_ = 0;
  std::vector<Pixel> pixels_;
};

}  // namespace tconv::cli
