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
#include <span>
#include <string>
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

// A dense tensor: element type, shape, and the elements in row-major (C) order.
// A value: it owns its elements and is moved in constant time. It is stored as
// the message that is sent, so that neither sending nor receiving copies it.
// As thread-safe as a std::vector: const members from many threads at once.
class Tensor {
 public:
  // No elements of no type, as a placeholder; every server refuses it.
  Tensor() = default;

  // Copies `values`, in row-major order.
  // INVALID_ARGUMENT: their number is not the product of `shape`.
  template <TensorElement T>
  static absl::StatusOr<Tensor> FromValues(Shape shape, std::span<const T> values) {
    const auto bytes = std::as_bytes(values);
    return FromBytes(ElementType<T>::kValue, std::move(shape),
                     std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  }
  template <TensorElement T>
  static absl::StatusOr<Tensor> FromValues(Shape shape, std::initializer_list<T> values) {
    return FromValues<T>(std::move(shape), std::span<const T>(values.begin(), values.size()));
  }

  // Takes over `bytes`: little-endian elements in row-major order.
  // INVALID_ARGUMENT: not a type, or not as many bytes as type and shape need.
  static absl::StatusOr<Tensor> FromBytes(v1::DataType dtype, Shape shape, std::string bytes);

  // Takes over a message as it is; the server vouches for its own.
  static Tensor FromProto(v1::Tensor proto);

  v1::DataType dtype() const { return proto_.dtype(); }
  Shape shape() const { return Shape(proto_.shape().begin(), proto_.shape().end()); }
  // Little-endian elements in row-major order. Valid while the tensor lives and
  // is not assigned to.
  const std::string& bytes() const { return proto_.data(); }

  // The elements in row-major order, in place: valid while the tensor lives and
  // is not assigned to.
  // INVALID_ARGUMENT: dtype() is not the type of T.
  template <TensorElement T>
  absl::StatusOr<std::span<const T>> values() const& {
    if (absl::Status status = CheckDtype(ElementType<T>::kValue); !status.ok()) return status;
    return std::span<const T>(reinterpret_cast<const T*>(bytes().data()),
                              bytes().size() / sizeof(T));
  }
  template <TensorElement T>
  void values() const&& = delete;

  const v1::Tensor& proto() const& { return proto_; }
  v1::Tensor&& proto() && { return std::move(proto_); }

 private:
  explicit Tensor(v1::Tensor proto) : proto_(std::move(proto)) {}
  absl::Status CheckDtype(v1::DataType expected) const;

  v1::Tensor proto_;
};

static_assert(std::endian::native == std::endian::little,
              "tensors are used in place, and travel little-endian");

}  // namespace tconv
