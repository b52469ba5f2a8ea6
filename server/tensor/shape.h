// The extents of a tensor.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "server/base/status.h"

namespace tconv::server {

// Extents in logical order, outermost first. A small value: copying it does not
// allocate. Every extent is >= 0, and the element count times eight bytes fits
// int64_t, so sizes in bytes never overflow.
class Shape {
 public:
  static constexpr int kMaxRank = 8;

  // The shape of a scalar.
  Shape() = default;
  // REQUIRES: what Make() checks.
  Shape(std::initializer_list<int64_t> dims);

  // INVALID_ARGUMENT: more than kMaxRank extents, a negative extent, or too
  // many elements. The message does not name a field.
  static StatusOr<Shape> Make(std::span<const int64_t> dims);

  int rank() const { return rank_; }
  int64_t operator[](int axis) const { return dims_[static_cast<size_t>(axis)]; }
  std::span<const int64_t> dims() const { return {dims_.data(), static_cast<size_t>(rank_)}; }
  int64_t num_elements() const { return num_elements_; }

  friend bool operator==(const Shape& a, const Shape& b) {
    return a.rank_ == b.rank_ && a.dims_ == b.dims_;
  }

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
  int64_t num_elements_ = 1;
};

// "[2, 3, 4]"; -1 prints as "?". The form in which messages show shapes.
std::string ToString(std::span<const int64_t> dims);
inline std::string ToString(const Shape& shape) { return ToString(shape.dims()); }

}  // namespace tconv::server
