// How a problem is cut into smaller ones that are computed one after the other:
// index arithmetic alone.
#pragma once

#include <cstdint>
#include <functional>

#include "server/layer/geometry.h"

namespace tconv::server {

// A part of a problem, a problem itself: whole images, or neighbouring rows of
// one image. A row is what lies inside of the outermost spatial axis. The
// extents of problem.axes[0] are the rows that the slab reads and those that it
// computes.
struct Slab {
  DeconvProblem problem;
  int64_t first_image = 0;
  int64_t first_in_row = 0;
  int64_t first_out_row = 0;
};

// Which axes a problem may be cut along. Activations that run along an axis need
// it whole.
struct SlabCuts {
  bool images = true;
  bool rows = true;
};
SlabCuts CutsOf(const DeconvProblem& problem);

// Slabs in the order of their outputs, which are those of the problem, each
// once. Their inputs are those of the problem, too: the first slab of an image
// begins with its first row, the last one ends with its last, and each begins
// inside or at the end of what those before it have read; the rows that it shares
// with them are its halo. All slabs of an image but the first and the last are
// equal problems. Immutable.
class Slabs {
 public:
  // One slab, the problem itself.
  explicit Slabs(const DeconvProblem& problem);

  // Slabs of `images` whole images, the last one of the rest.
  // REQUIRES: images > 0, CutsOf(problem).images.
  static Slabs OfImages(const DeconvProblem& problem, int64_t images);

  // Slabs of the outputs that `rows` new rows of input complete; the last one of
  // an image has all that is left. REQUIRES: rows > 0, CutsOf(problem).rows.
  static Slabs OfRows(const DeconvProblem& problem, int64_t rows);

  int64_t size() const { return image_sets_ * slabs_per_image_; }
  // REQUIRES: 0 <= index < size().
  Slab operator[](int64_t index) const;

  // The most that `bytes_of` says of a slab. It grows with every extent.
  int64_t LargestBytes(const std::function<int64_t(const DeconvProblem&)>& bytes_of) const;

 private:
  Slabs(const DeconvProblem& problem, int64_t images_per_slab, int64_t rows_per_slab);

  Slab RowsOfImage(int64_t image, int64_t index) const;

  DeconvProblem problem_;
  int64_t images_per_slab_;
  int64_t rows_per_slab_;
  int64_t image_sets_;
  int64_t slabs_per_image_;
};

// Input and output of a slab: little enough that one can be computed while the
// next is received, enough for all threads.
inline constexpr int64_t kSlabBytes = int64_t{16} << 20;

// How the problem is computed, a function of the problem alone: as one slab when
// its input and output have at most `slab_bytes` in its dtype, else in the
// largest slabs that do. They are larger where rows are, or where thinner ones
// would read more than a quarter of their inputs again.
//
// The last bits of a result depend on the extents of what is computed at once.
// Everybody who computes a problem by these slabs has the same bits.
Slabs SlabsOf(const DeconvProblem& problem, int64_t slab_bytes = kSlabBytes);

}  // namespace tconv::server
