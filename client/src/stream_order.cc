#include "client/src/stream_order.h"

namespace tconv {

StreamOrder StreamOrder::ChannelsFirst(const TensorInfo& tensor) {
  const size_t size_bytes = *SizeInBytes(tensor);
  StreamOrder order(size_bytes);
  // With one channel or one depth both orders are the same; what is no input of
  // a layer has no other.
  if (tensor.shape.size() < 3 || size_bytes == 0 || tensor.shape[1] == 1 || tensor.shape[2] == 1) {
    return order;
  }
  order.channels_ = static_cast<size_t>(tensor.shape[1]);
  order.depth_ = static_cast<size_t>(tensor.shape[2]);
  const auto batch = static_cast<size_t>(tensor.shape[0]);
  order.block_bytes_ = size_bytes / (batch * order.channels_ * order.depth_);
  return order;
}

StreamOrder::Run StreamOrder::At(size_t stream_offset) const {
  const size_t within = stream_offset % block_bytes_;
  const size_t block = stream_offset / block_bytes_;
  const size_t channel = block % channels_;
  const size_t depth = block / channels_ % depth_;
  const size_t image = block / channels_ / depth_;
  const size_t place = (image * channels_ + channel) * depth_ + depth;
  return {.offset = place * block_bytes_ + within, .bytes = block_bytes_ - within};
}

}  // namespace tconv
