// The elements of a stream: where they come from, and where they go.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <tconv/calls.h>
#include <tconv/tensor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "client/src/memory_pool.h"
#include "client/src/stream_order.h"
#include "proto/codec/payload_codec.h"
#include "proto/codec/stream_format.h"

namespace tconv {

// Elements to be sent.
class ElementSource {
 public:
  virtual ~ElementSource() = default;
  virtual void Restart() = 0;
  virtual bool HasMore() const = 0;
  // The next ones, about codec::kChunkBytes. REQUIRES: HasMore().
  virtual absl::StatusOr<codec::Payload> Next() = 0;
};

// Those of tensors, one after the other, in the order of the streams. In the
// order of the tensor they are not copied.
struct OrderedTensor {
  Tensor tensor;
  StreamOrder order;
};
std::unique_ptr<ElementSource> MakeSource(std::vector<OrderedTensor> tensors,
                                          std::shared_ptr<MemoryPool> memory);

// Those that a caller reads, `size_bytes` in all.
std::unique_ptr<ElementSource> MakeSource(const InputStream& input, size_t size_bytes,
                                          std::shared_ptr<MemoryPool> memory);

// Elements that arrive.
class ElementSink {
 public:
  using MoveTo = std::function<void(std::byte* dst)>;

  virtual ~ElementSink() = default;
  // Takes the next `bytes`, which `move_to` writes to where they are wanted, and
  // returns where they are until the next call.
  // REQUIRES: they are at least one, and not more than are missing.
  virtual absl::StatusOr<std::span<const std::byte>> Take(size_t bytes, const MoveTo& move_to) = 0;
};

// Into memory for one tensor after the other. REQUIRES: it outlives the sink.
struct OrderedMemory {
  std::span<std::byte> memory;
  StreamOrder order;
};
std::unique_ptr<ElementSink> MakeSink(std::vector<OrderedMemory> tensors);

// To a caller.
std::unique_ptr<ElementSink> MakeSink(TensorInfo info, OutputStream output);

}  // namespace tconv
