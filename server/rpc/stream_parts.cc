#include "server/rpc/stream_parts.h"

#include <algorithm>
#include <utility>

namespace tconv::server {

Status IncomingElements::Receive(codec::ReceivedPayloads data) {
  const size_t bytes = data.size_bytes(codec::kDataPath);
  if (bytes > kMostDataBytes) {
    return InvalidField("data", "expected at most {} bytes in a message, got {}", kMostDataBytes,
                        bytes);
  }
  received_bytes_ += static_cast<int64_t>(bytes);
  if (received_bytes_ > expected_bytes_) {
    return InvalidField("data", "expected {} bytes in all, got more", expected_bytes_);
  }
  data_ = std::move(data);
  return OkStatus();
}

void IncomingElements::MoveTo(std::span<std::byte> dst) {
  data_.MoveTo(codec::kDataPath, dst.data(), dst.size());
  checksum_.Add(dst);
}

Status IncomingElements::CheckEnd(const v1::StreamEnd& end) const {
  if (!is_complete()) {
    return InvalidField("data", "expected {} bytes in all, got {}", expected_bytes_,
                        received_bytes_);
  }
  if (end.has_xxh3() && end.xxh3() != checksum_.value()) {
    return InvalidField("end.xxh3",
                        "expected {:#018x}, that of the elements received, got {:#018x}",
                        checksum_.value(), end.xxh3());
  }
  return OkStatus();
}

void OutgoingElements::Put(std::shared_ptr<const void> owner, std::span<const std::byte> bytes) {
  owner_ = std::move(owner);
  bytes_ = bytes;
}

codec::Payload OutgoingElements::Next() {
  const auto next = bytes_.first(std::min(bytes_.size(), codec::kChunkBytes));
  bytes_ = bytes_.subspan(next.size());
  checksum_.Add(next);
  return {bytes_.empty() ? std::exchange(owner_, nullptr) : owner_, next.data(), next.size()};
}

v1::StreamEnd OutgoingElements::End() const {
  v1::StreamEnd end;
  end.set_xxh3(checksum_.value());
  return end;
}

}  // namespace tconv::server
