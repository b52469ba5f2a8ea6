#include "client/cli/kernel_image.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "client/cli/values.h"

namespace tconv::cli {
namespace {

using Color = std::array<uint8_t, 3>;

constexpr Color kBetweenCells = {32, 32, 32};
constexpr Color kNotFinite = {255, 0, 255};

// The spatial extents of a kernel as slices of rows and columns; 1 where it has fewer.
struct Cell {
  explicit Cell(const Shape& shape) {
    const size_t rank = shape.size() - 2;
    if (rank == 3) slices = shape[0];
    if (rank >= 2) rows = shape[rank - 2];
    columns = shape[rank - 1];
  }
  // Slices are side by side.
  int64_t width() const { return slices * (columns + 1) - 1; }
  // Where in the cell a tap is, counted in row-major order.
  int64_t x(int64_t tap) const { return tap / (rows * columns) * (columns + 1) + tap % columns; }
  int64_t y(int64_t tap) const { return tap / columns % rows; }

  int64_t slices = 1;
  int64_t rows = 1;
  int64_t columns = 1;
};

// Of a weight among the selected ones.
struct Place {
  int64_t tap = 0;
  int64_t filter = 0;
  int64_t channel = 0;
};

// Calls visit(place, weight).
template <typename Visit>
void ForEachWeight(const Tensor& kernel, IndexRange filters, IndexRange channels, Visit visit) {
  const int64_t all_channels = kernel.shape().back();
  const int64_t all_filters = kernel.shape()[kernel.shape().size() - 2];
  int64_t taps = 1;
  for (size_t axis = 0; axis + 2 < kernel.shape().size(); ++axis) taps *= kernel.shape()[axis];
  for (int64_t tap = 0; tap < taps; ++tap) {
    for (int64_t filter = filters.begin; filter < filters.end; ++filter) {
      for (int64_t channel = channels.begin; channel < channels.end; ++channel) {
        const int64_t index = (tap * all_filters + filter) * all_channels + channel;
        visit(Place{tap, filter - filters.begin, channel - channels.begin},
              ValueAt(kernel, static_cast<size_t>(index)));
      }
    }
  }
}

Color ColorOf(const std::optional<float>& share) {
  if (!share) return kBetweenCells;
  if (std::isnan(*share)) return kNotFinite;
  const auto fading = static_cast<uint8_t>(std::lround(255 * (1 - std::abs(*share))));
  return *share < 0 ? Color{fading, fading, 255} : Color{255, fading, fading};
}

std::string TextOf(const std::optional<float>& share) {
  if (!share) return "   ";
  if (std::isnan(*share)) return "  !";
  return fmt::format("{:3}", std::lround(9 * *share));
}

}  // namespace

KernelStatistics StatisticsOf(const Tensor& kernel) {
  const size_t count = kernel.bytes().size() / ElementSize(kernel.dtype());
  KernelStatistics statistics{.smallest = std::numeric_limits<double>::infinity(),
                              .largest = -std::numeric_limits<double>::infinity()};
  // Welford's: stable, in one pass.
  double squares = 0;
  int64_t finite = 0;
  for (size_t i = 0; i < count; ++i) {
    const double value = ValueAt(kernel, i);
    if (!std::isfinite(value)) continue;
    const double distance = value - statistics.mean;
    statistics.mean += distance / static_cast<double>(++finite);
    squares += distance * (value - statistics.mean);
    statistics.smallest = std::min(statistics.smallest, value);
    statistics.largest = std::max(statistics.largest, value);
  }
  statistics.not_finite = static_cast<int64_t>(count) - finite;
  if (finite == 0) return {.not_finite = statistics.not_finite};
  statistics.deviation = std::sqrt(squares / static_cast<double>(finite));
  return statistics;
}

KernelImage::KernelImage(const Tensor& kernel, IndexRange filters, IndexRange channels) {
  const Cell cell(kernel.shape());
  width_ = channels.size() * (cell.width() + 1) - 1;
  height_ = filters.size() * (cell.rows + 1) - 1;
  pixels_.resize(static_cast<size_t>(width_ * height_));
  ForEachWeight(kernel, filters, channels, [&](const Place&, double weight) {
    if (std::isfinite(weight)) scale_ = std::max(scale_, std::abs(weight));
  });
  const double divisor = scale_ == 0 ? 1 : scale_;
  ForEachWeight(kernel, filters, channels, [&](const Place& place, double weight) {
    const int64_t x = place.channel * (cell.width() + 1) + cell.x(place.tap);
    const int64_t y = place.filter * (cell.rows + 1) + cell.y(place.tap);
    At(x, y) = std::isfinite(weight) ? static_cast<float>(weight / divisor) : std::nanf("");
  });
}

Picture KernelImage::ToPicture(int64_t pixels_per_weight) const {
  Picture picture{
      .width = width_ * pixels_per_weight, .height = height_ * pixels_per_weight, .channels = 3};
  picture.samples.reserve(static_cast<size_t>(picture.width * picture.height * 3));
  for (int64_t y = 0; y < picture.height; ++y) {
    for (int64_t x = 0; x < picture.width; ++x) {
      const Color color = ColorOf(At(x / pixels_per_weight, y / pixels_per_weight));
      picture.samples.insert(picture.samples.end(), color.begin(), color.end());
    }
  }
  return picture;
}

std::string KernelImage::ToText() const {
  std::string text;
  for (int64_t y = 0; y < height_; ++y) {
    std::string line = "  ";
    for (int64_t x = 0; x < width_; ++x) line += TextOf(At(x, y));
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace tconv::cli
