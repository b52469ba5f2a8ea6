// The order in which the elements of a tensor travel in a stream.
#pragma once

#include <tconv/tensor.h>

#include <cstddef>

namespace tconv {

// Where the bytes of a stream lie in the row-major tensor that they are of.
// Immutable.
class StreamOrder {
 public:
  // The same order.
  explicit StreamOrder(size_t size_bytes) : size_bytes_(size_bytes), block_bytes_(size_bytes) {}

  // That of a layer with data format channels_first: the tensor is
  // [batch, channels, depth, rest...], the stream [batch, depth, channels, rest...].
  // REQUIRES: SizeInBytes(tensor) is OK.
  static StreamOrder ChannelsFirst(const TensorInfo& tensor);

  // Bytes that lie next to each other in stream and tensor.
  struct Run {
    size_t offset = 0;  // in the tensor
    size_t bytes = 0;
  };
  // From a place in the stream to the end of its run.
  // REQUIRES: 0 <= stream_offset < size of the tensor.
  Run At(size_t stream_offset) const;

  // Whether it differs from the order of the tensor.
  bool Reorders() const { return block_bytes_ != size_bytes_; }

 private:
  size_t size_bytes_;
  size_t block_bytes_;  // of one channel at one depth
  size_t channels_ = 1;
  size_t depth_ = 1;
};

}  // namespace tconv
