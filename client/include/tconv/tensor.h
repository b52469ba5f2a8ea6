// Tensor, the value that travels to the server and back.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <tconv/v1/tensor.pb.h>

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace tconv {

// Extents, outermost first. Empty for a scalar.
using Shape = std::vector<int64_t>;

// The DataType of a C++ type. Specialize it for a 16-bit type of your own, say
// std::float16_t or Eigen::bfloat16, to use that with Tensor.
template <typename T>
struct ElementType;
template <>
struct ElementType<float> {
  static constexpr v1::DataType kValue = v1::DATA_TYPE_FLOAT32;
};
template <>
struct ElementType<double> {
  static constexpr v1::DataType kValue = v1::DATA_TYPE_FLOAT64;
};

template <typename T>
concept TensorElement = std::is_trivially_copyable_v<T> && requires {
  { ElementType<T>::kValue } -> std::convertible_to<v1::DataType>;
};

// Bytes of one element; 0 for values that are not a type.
size_t ElementSize(v1::DataType dtype);

// "float32", "float64", "float16", "bfloat16"; "unspecified" for other values.
std::string DataTypeName(v1::DataType dtype);

// "(1, 4, 4, 3)", "(3,)", "()": as numpy writes it.
std::string ToString(std::span<const int64_t> shape);

// The number of elements in `shape`.
// INVALID_ARGUMENT: a negative extent, or a product beyond int64.
absl::StatusOr<int64_t> ElementCount(std::span<const int64_t> shape);

// The type and shape of a tensor whose elements are elsewhere.
struct TensorInfo {
  v1::DataType dtype = v1::DATA_TYPE_UNSPECIFIED;
  Shape shape = {};
};

// The bytes of all elements of such a tensor.
// INVALID_ARGUMENT: not a type, a negative extent, or more than 2^63 - 1 bytes.
absl::StatusOr<size_t> SizeInBytes(const TensorInfo& info);

// A dense tensor: element type, shape, and the elements in row-major (C) order.
//
// The elements lie in memory that nobody changes, and are shared: a copy of a
// Tensor refers to the same ones. Sending a tensor takes them from where they
// are. Memory that the library allocates, for FromValues() and for what a call
// answers, begins at a multiple of 64 bytes. It is freed, or memory of the
// caller's is let go, when the last copy is gone and no call sends it any more.
//
// As thread-safe as a std::vector: const members from many threads at once.
class Tensor {
 public:
  // No elements of no type, as a placeholder; every server refuses it.
  Tensor() = default;

  // Copies `values`, in row-major order.
  // INVALID_ARGUMENT: their number is not the product of `shape`.
  template <TensorElement T>
  static absl::StatusOr<Tensor> FromValues(Shape shape, std::span<const T> values) {
    return CopyOf(TensorInfo{ElementType<T>::kValue, std::move(shape)}, std::as_bytes(values));
  }
  template <TensorElement T>
  static absl::StatusOr<Tensor> FromValues(Shape shape, std::initializer_list<T> values) {
    return FromValues<T>(std::move(shape), std::span<const T>(values.begin(), values.size()));
  }

  // Takes over `values`, in row-major order, without a copy.
  // INVALID_ARGUMENT: their number is not the product of `shape`.
  template <TensorElement T>
  static absl::StatusOr<Tensor> FromVector(Shape shape, std::vector<T> values) {
    const auto owner = std::make_shared<const std::vector<T>>(std::move(values));
    return FromMemory(ElementType<T>::kValue, std::move(shape),
                      std::as_bytes(std::span<const T>(*owner)), owner);
  }

  // Takes over `bytes`, little-endian elements in row-major order, without a
  // copy. INVALID_ARGUMENT: not a type, or not as many bytes as type and shape
  // need.
  static absl::StatusOr<Tensor> FromBytes(v1::DataType dtype, Shape shape, std::string bytes);

  // Refers to `bytes`, little-endian elements in row-major order, without a
  // copy. Nobody changes them while `owner` lives, which the tensor and calls
  // that send it share. The deleter of `owner` thus tells when the memory is
  // free again; it may run on any thread. A null owner: the memory outlives the
  // connections that have sent it.
  // INVALID_ARGUMENT: not a type, not as many bytes as type and shape need, or
  // an address that is not a multiple of the size of an element.
  static absl::StatusOr<Tensor> FromMemory(v1::DataType dtype, Shape shape,
                                           std::span<const std::byte> bytes,
                                           std::shared_ptr<const void> owner);

  v1::DataType dtype() const { return info_.dtype; }
  const Shape& shape() const& { return info_.shape; }
  Shape shape() && { return std::move(info_.shape); }
  const TensorInfo& info() const { return info_; }

  // Little-endian elements in row-major order. Valid while the tensor, or a copy
  // of it, lives and is not assigned to.
  std::string_view bytes() const& {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }
  void bytes() const&& = delete;

  // The elements in row-major order, in place: valid as bytes() are.
  // INVALID_ARGUMENT: dtype() is not the type of T.
  template <TensorElement T>
  absl::StatusOr<std::span<const T>> values() const& {
    if (absl::Status status = CheckDtype(ElementType<T>::kValue); !status.ok()) return status;
    return std::span<const T>(reinterpret_cast<const T*>(bytes_.data()), bytes_.size() / sizeof(T));
  }
  template <TensorElement T>
  void values() const&& = delete;

  // What keeps the elements alive; null for memory that needs nobody to.
  const std::shared_ptr<const void>& owner() const { return owner_; }

 private:
  static absl::StatusOr<Tensor> CopyOf(TensorInfo info, std::span<const std::byte> bytes);
  absl::Status CheckDtype(v1::DataType expected) const;

  TensorInfo info_;
  std::span<const std::byte> bytes_;
  std::shared_ptr<const void> owner_;
};

static_assert(std::endian::native == std::endian::little,
              "tensors are used in place, and travel little-endian");

}  // namespace tconv
