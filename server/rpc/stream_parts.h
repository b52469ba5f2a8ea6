// The parts of streams that carry elements: start, data, end.
#pragma once

#include <tconv/v1/tensor.pb.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "proto/codec/payload_codec.h"
#include "proto/codec/stream_format.h"
#include "server/base/status.h"

namespace tconv::server {

// Most `data` of one message. With its few other bytes it is a message that
// every gRPC library accepts by default.
inline constexpr size_t kMostDataBytes = size_t{4} << 20;

// Elements that arrive in any number of messages: as many bytes as their start
// promised, and the checksum that their end tells. Used by one thread at a time.
class IncomingElements {
 public:
  explicit IncomingElements(int64_t expected_bytes) : expected_bytes_(expected_bytes) {}

  // Takes over the data of a message. INVALID_ARGUMENT (about `data`): more than
  // a message may have, or than is left. REQUIRES: pending_bytes() == 0.
  Status Receive(codec::ReceivedPayloads data);
  // Of the message, those that were not moved yet.
  size_t pending_bytes() const { return data_.size_bytes(codec::kDataPath); }
  // Moves the next pending bytes to `dst`. REQUIRES: no more than are pending.
  void MoveTo(std::span<std::byte> dst);

  // Whether all are received and moved: time for the end.
  bool is_complete() const { return received_bytes_ == expected_bytes_ && pending_bytes() == 0; }
  // INVALID_ARGUMENT (about `data` or `end.xxh3`): elements are missing, or the
  // checksum is not theirs.
  Status CheckEnd(const v1::StreamEnd& end) const;

 private:
  const int64_t expected_bytes_;
  int64_t received_bytes_ = 0;
  codec::ReceivedPayloads data_;
  codec::Checksum checksum_;
};

// Elements to be sent, in messages of codec::kChunkBytes that share their memory.
// Used by one thread at a time.
class OutgoingElements {
 public:
  // What comes next. REQUIRES: IsEmpty().
  void Put(std::shared_ptr<const void> owner, std::span<const std::byte> bytes);
  bool IsEmpty() const { return bytes_.empty(); }
  // The next message's data; adds it to the checksum. Lets go of the owner with
  // the last. REQUIRES: !IsEmpty().
  codec::Payload Next();
  // Of all elements so far.
  v1::StreamEnd End() const;

 private:
  std::shared_ptr<const void> owner_;
  std::span<const std::byte> bytes_;
  codec::Checksum checksum_;
};

}  // namespace tconv::server
