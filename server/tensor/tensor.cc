#include "server/tensor/tensor.h"

#include <cstring>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

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

// Of x86-64 and of most AArch64 systems. Where pages are larger, tensors are
// merely well aligned.
constexpr size_t kHugePageBytes = size_t{2} << 20;
// Below, the alignment costs more address space than huge pages save misses.
constexpr size_t kBytesWorthHugePages = 2 * kHugePageBytes;

// Asks for huge pages inside of [data, data + bytes): reading weights takes
// fewer translations, and the first write to a tensor fewer faults. Only whole
// ones, so that no memory is used beyond the tensor. They are a wish; a system
// that declines changes nothing but the speed.
void PreferHugePages([[maybe_unused]] std::byte* data, [[maybe_unused]] size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  madvise(data, bytes / kHugePageBytes * kHugePageBytes, MADV_HUGEPAGE);
#endif
}

}  // namespace

void Tensor::Free::operator()(std::byte* data) const {
  ::operator delete[](data, std::align_val_t{alignment});
}

StatusOr<Tensor> Tensor::Allocate(DType dtype, const Shape& shape) {
  Tensor tensor;
  tensor.dtype_ = dtype;
  tensor.shape_ = shape;
  const auto bytes = static_cast<size_t>(tensor.size_bytes());
  const bool is_large = bytes >= kBytesWorthHugePages;
  const size_t alignment = is_large ? kHugePageBytes : kAlignment;
  tensor.data_ = {
      static_cast<std::byte*>(::operator new[](bytes, std::align_val_t{alignment}, std::nothrow)),
      Free{alignment}};
  if (tensor.data_ == nullptr) {
    return MakeError(StatusCode::kResourceExhausted, "no memory for {} bytes", bytes);
  }
  if (is_large) PreferHugePages(tensor.data_.get(), bytes);
  return tensor;
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
