// Elements that somebody has and that are not yet where they are needed.
#pragma once

#include <cstddef>
#include <cstring>

#include "server/base/status.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

// A tensor on its way in: its type and shape are known, its elements are fetched
// once, straight to where they will be read. Used by one thread at a time.
class TensorSource {
 public:
  virtual ~TensorSource() = default;

  virtual DType dtype() const = 0;
  virtual const Shape& shape() const = 0;

  // The elements, aligned to Tensor::kAlignment, when they lie in memory that can
  // be read as it is for as long as this lives; else null.
  virtual const std::byte* InPlace() const { return nullptr; }

  // Moves the elements to `dst`, which has room for all of them. To be called at
  // most once.
  virtual void MoveTo(std::byte* dst) = 0;

  int64_t size_bytes() const { return ConstTensorView{dtype(), shape(), nullptr}.size_bytes(); }
};

// Elements that somebody else owns, in memory without alignment.
class ViewSource final : public TensorSource {
 public:
  explicit ViewSource(ConstTensorView view) : view_(view) {}

  DType dtype() const override { return view_.dtype; }
  const Shape& shape() const override { return view_.shape; }
  void MoveTo(std::byte* dst) override {
    if (view_.size_bytes() > 0) {
      std::memcpy(dst, view_.data, static_cast<size_t>(view_.size_bytes()));
    }
  }

 private:
  const ConstTensorView view_;
};

// The elements of `source` in `dtype`, in new memory. Without a conversion they
// move straight there. RESOURCE_EXHAUSTED.
StatusOr<Tensor> Fetch(TensorSource& source, DType dtype);
// The same in memory from `pool`.
StatusOr<Tensor> Fetch(TensorSource& source, DType dtype, BlockPool& pool);

}  // namespace tconv::server
