#include "server/tensor/tensor.h"

#include <cstring>
#include <utility>

namespace tconv::server {
namespace {

inline double Widen(float value) { return value; }
inline double Widen(double value) { return value; }
inline double Widen(Float16 value) { return ToFloat(value); }
inline double Widen(BFloat16 value) { return ToFloat(value); }

template <typename T>
T Narrow(double value);
template <>
inline float Narrow<float>(double value) {
  return static_cast<float>(value);
}
template <>
inline double Narrow<double>(double value) {
  return value;
}
template <>
inline Float16 Narrow<Float16>(double value) {
  return ToFloat16(static_cast<float>(value));
}
template <>
inline BFloat16 Narrow<BFloat16>(double value) {
  return ToBFloat16(static_cast<float>(value));
}

// Every type of this file converts to double exactly, so one loop over double
// serves all pairs and rounds once.
template <typename Src, typename Dst>
void ConvertElements(const std::byte* src, Dst* dst, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    Src value;
    std::memcpy(&value, src + static_cast<size_t>(i) * sizeof(Src), sizeof(Src));
    dst[i] = Narrow<Dst>(Widen(value));
  }
}

// Calls visitor(T{}) with the element type of `dtype`.
template <typename Visitor>
void VisitDType(DType dtype, Visitor visitor) {
  switch (dtype) {
    case DType::kFloat32:
      return visitor(float{});
    case DType::kFloat64:
      return visitor(double{});
    case DType::kFloat16:
      return visitor(Float16{});
    case DType::kBFloat16:
      return visitor(BFloat16{});
  }
}

size_t BytesOf(DType dtype, const Shape& shape) {
  return static_cast<size_t>(ConstTensorView{dtype, shape, nullptr}.size_bytes());
}

}  // namespace

StatusOr<Tensor> Tensor::Allocate(DType dtype, const Shape& shape) {
  TCONV_ASSIGN_OR_RETURN(Block block, Block::Allocate(BytesOf(dtype, shape)));
  return Tensor(dtype, shape, std::move(block));
}

StatusOr<Tensor> Tensor::Allocate(DType dtype, const Shape& shape, BlockPool& pool) {
  TCONV_ASSIGN_OR_RETURN(Block block, pool.Take(BytesOf(dtype, shape)));
  return Tensor(dtype, shape, std::move(block));
}

StatusOr<Tensor> Tensor::Converted(ConstTensorView source, DType dtype) {
  TCONV_ASSIGN_OR_RETURN(Tensor tensor, Allocate(dtype, source.shape));
  Convert(source, tensor.mutable_view());
  return tensor;
}

void Convert(ConstTensorView src, TensorView dst) {
  assert(src.shape.num_elements() == dst.shape.num_elements());
  if (src.shape.num_elements() == 0) return;
  if (src.dtype == dst.dtype) {
    std::memcpy(dst.data, src.data, static_cast<size_t>(src.size_bytes()));
    return;
  }
  VisitDType(src.dtype, [&](auto from) {
    VisitDType(dst.dtype, [&](auto to) {
      using Dst = decltype(to);
      ConvertElements<decltype(from)>(src.data, dst.values<Dst>().data(), src.shape.num_elements());
    });
  });
}

}  // namespace tconv::server
