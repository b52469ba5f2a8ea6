// Tensors in memory that client and server share, for servers on the same host.
//
//   auto memory = tconv::SharedMemory::Open("/run/tconv/memory.sock", 64 << 20);
//   auto input = memory->Allocate(tconv::v1::DATA_TYPE_FLOAT32, {1, 512, 512, 3});
//   auto output = memory->Allocate(tconv::v1::DATA_TYPE_FLOAT32, {1, 1024, 1024, 3});
//   Fill(*input->values<float>());
//   auto result = client.Forward("upscale", *input, *output);
//   Use(*output->values<float>());
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <tconv/tensor.h>
#include <tconv/v1/transposed_conv.pb.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace tconv {

namespace internal {
class SegmentMemory;
}  // namespace internal

// A dense tensor in shared memory: element type, shape, and the elements in
// row-major (C) order. Owns its part of the memory and keeps all of it mapped;
// movable. As thread-safe as a std::vector. During a Forward the input must not
// be written and the output not be touched.
class SharedTensor {
 public:
  // No memory, as a placeholder. Also what is left of a tensor that was moved from.
  SharedTensor() = default;
  SharedTensor(SharedTensor&& other) noexcept;
  SharedTensor& operator=(SharedTensor&& other) noexcept;
  ~SharedTensor();

  v1::DataType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  // For elements, of this or another type and shape that Forward puts here.
  size_t room_bytes() const { return room_bytes_; }

  // The elements, valid while the tensor lives and is not assigned to. Aligned to
  // 64 bytes.
  std::span<std::byte> bytes() { return {data_, size_bytes_}; }
  std::span<const std::byte> bytes() const { return {data_, size_bytes_}; }

  // The same as what they are. INVALID_ARGUMENT: dtype() is not the type of T.
  template <TensorElement T>
  absl::StatusOr<std::span<T>> values() {
    if (absl::Status status = CheckDtype(ElementType<T>::kValue); !status.ok()) return status;
    return std::span<T>(reinterpret_cast<T*>(data_), size_bytes_ / sizeof(T));
  }
  template <TensorElement T>
  absl::StatusOr<std::span<const T>> values() const {
    if (absl::Status status = CheckDtype(ElementType<T>::kValue); !status.ok()) return status;
    return std::span<const T>(reinterpret_cast<const T*>(data_), size_bytes_ / sizeof(T));
  }

 private:
  friend class Client;
  friend class SharedMemory;

  void Swap(SharedTensor& other);
  // Becomes empty without returning the room.
  void Forget();
  // Of the room in the memory.
  size_t offset() const;
  absl::Status CheckDtype(v1::DataType expected) const;
  // Takes over type and shape of what is there now.
  // INVALID_ARGUMENT: no type, or more than the room.
  absl::Status SetContent(v1::DataType dtype, Shape shape);

  std::shared_ptr<internal::SegmentMemory> memory_;
  std::byte* data_ = nullptr;
  size_t room_bytes_ = 0;
  size_t size_bytes_ = 0;
  v1::DataType dtype_ = v1::DATA_TYPE_UNSPECIFIED;
  Shape shape_;
};

// Memory of this process that a server uses too. Whoever the server lets compute
// with it is not told apart: the server gives the memory a secret name, which
// travels with every call.
//
// When the server has ended and another one serves at the same path, the next
// call gives the memory to that one; tensors and their elements stay.
// Thread-safe; a copy shares the memory, which is freed with the last copy and the
// last tensor.
class SharedMemory {
 public:
  // Allocates `size_bytes` and gives them to the server that listens on the Unix
  // socket at `socket_path`, its --shared-memory-socket.
  // UNAVAILABLE: nobody answers there. PERMISSION_DENIED: this process is neither of
  // the user of the server nor root's. RESOURCE_EXHAUSTED: no memory, or beyond a
  // limit of the server.
  static absl::StatusOr<SharedMemory> Open(const std::string& socket_path, size_t size_bytes);

  // Room for a tensor, with elements that are not initialized.
  // INVALID_ARGUMENT: not a type or not a shape. RESOURCE_EXHAUSTED: no room.
  absl::StatusOr<SharedTensor> Allocate(v1::DataType dtype, Shape shape) const;

 private:
  explicit SharedMemory(std::shared_ptr<internal::SegmentMemory> memory);

  std::shared_ptr<internal::SegmentMemory> memory_;
};

// What Forward answers besides the output.
struct SharedForwardResult {
  // The version of the weights that were used.
  int64_t weights_version = 0;
  // When asked for: the terms of layer.losses in Keras' order.
  std::vector<v1::Loss> losses = {};
};

}  // namespace tconv
