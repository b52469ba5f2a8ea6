// Dense row-major tensors: views of elements that somebody else owns, and an
// owner.
#pragma once

#include <cassert>
#include <cstddef>
#include <span>
#include <utility>

#include "server/tensor/block_pool.h"
#include "server/tensor/dtype.h"
#include "server/tensor/shape.h"

namespace tconv::server {

// Elements to read. Does not own them; a small value, copied freely.
struct ConstTensorView {
  DType dtype = DType::kFloat32;
  Shape shape;
  const std::byte* data = nullptr;

  int64_t size_bytes() const { return shape.num_elements() * static_cast<int64_t>(SizeOf(dtype)); }

  // REQUIRES: T is the type of dtype; data is aligned for T.
  template <typename T>
  std::span<const T> values() const {
    assert(dtype == DTypeOf<T>::value);
    return {reinterpret_cast<const T*>(data), static_cast<size_t>(shape.num_elements())};
  }
};

// Elements to write. Does not own them.
struct TensorView {
  DType dtype = DType::kFloat32;
  Shape shape;
  std::byte* data = nullptr;

  operator ConstTensorView() const { return {dtype, shape, data}; }
  int64_t size_bytes() const { return ConstTensorView(*this).size_bytes(); }

  template <typename T>
  std::span<T> values() const {
    assert(dtype == DTypeOf<T>::value);
    return {reinterpret_cast<T*>(data), static_cast<size_t>(shape.num_elements())};
  }
};

// Owns its elements, aligned to kAlignment; large tensors lie on huge pages where
// the system has them. Movable, not copyable: copying megabytes is said by name.
class Tensor {
 public:
  static constexpr size_t kAlignment = Block::kAlignment;

  // An empty tensor: shape [0], no memory.
  Tensor() : shape_({0}) {}

  // Elements are not initialized. RESOURCE_EXHAUSTED when there is no memory.
  static StatusOr<Tensor> Allocate(DType dtype, const Shape& shape);
  // The same in memory from `pool`.
  static StatusOr<Tensor> Allocate(DType dtype, const Shape& shape, BlockPool& pool);
  // A new tensor with the elements of `source` in `dtype`. RESOURCE_EXHAUSTED.
  static StatusOr<Tensor> Converted(ConstTensorView source, DType dtype);

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int64_t size_bytes() const { return view().size_bytes(); }
  ConstTensorView view() const { return {dtype_, shape_, block_.data()}; }
  TensorView mutable_view() { return {dtype_, shape_, block_.data()}; }

 private:
  Tensor(DType dtype, const Shape& shape, Block block)
      : dtype_(dtype), shape_(shape), block_(std::move(block)) {}

  DType dtype_ = DType::kFloat32;
  Shape shape_;
  Block block_;
};

// dst = src in the type of dst; narrowing rounds to nearest even, from float64
// to the 16-bit types by way of float32.
// REQUIRES: equal element counts; no overlap. `src.data` may be unaligned.
void Convert(ConstTensorView src, TensorView dst);

}  // namespace tconv::server
