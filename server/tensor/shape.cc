#include "server/tensor/shape.h"

#include <algorithm>
#include <cassert>
#include <limits>

namespace tconv::server {
namespace {

constexpr int64_t kMaxElements = std::numeric_limits<int64_t>::max() / 8;

}  // namespace

StatusOr<Shape> Shape::Make(std::span<const int64_t> dims) {
  if (dims.size() > kMaxRank) {
    return MakeError(StatusCode::kInvalidArgument, "expected at most {} axes, got {}", kMaxRank,
                     dims.size());
  }
  Shape shape;
  shape.rank_ = static_cast<int>(dims.size());
  std::copy(dims.begin(), dims.end(), shape.dims_.begin());
  for (const int64_t dim : dims) {
    if (dim < 0) {
      return MakeError(StatusCode::kInvalidArgument, "expected extents >= 0, got {}",
                       ToString(dims));
    }
    // Zero extents do not hide an overflow of the others.
    if (dim > 1 && shape.num_elements_ > kMaxElements / dim) {
      return MakeError(StatusCode::kInvalidArgument, "too many elements: {}", ToString(dims));
    }
    shape.num_elements_ *= std::max<int64_t>(dim, 1);
  }
  if (std::find(dims.begin(), dims.end(), 0) != dims.end()) shape.num_elements_ = 0;
  return shape;
}

Shape::Shape(std::initializer_list<int64_t> dims) {
  StatusOr<Shape> shape = Make({dims.begin(), dims.size()});
  assert(shape.ok());
  *this = *shape;
}

std::string ToString(std::span<const int64_t> dims) {
  std::string text = "[";
  for (size_t i = 0; i < dims.size(); ++i) {
    text += i == 0 ? "" : ", ";
    text += dims[i] == -1 ? "?" : std::to_string(dims[i]);
  }
  return text + "]";
}

}  // namespace tconv::server
