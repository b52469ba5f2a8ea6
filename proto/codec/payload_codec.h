// Messages as gRPC carries them, with the elements of tensors kept out of
// protobuf.
//
// On the wire these are ordinary messages. In memory every `bytes` field of a
// message, a payload here, stays where it is: a payload to be sent becomes a
// slice of the buffer, and a received one is copied once, to where its reader
// wants it.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace tconv::codec {

// Most that one message may have, as in every protobuf library.
inline constexpr size_t kMaxMessageBytes = 0x7fffffff;
// Most that a received message may have besides its payloads. It bounds the
// memory that parsing takes: everything else grows with what was received.
inline constexpr size_t kMaxHeadBytes = size_t{4} << 20;
// Most entries that its repeated payloads may have, all together.
inline constexpr int kMaxEntries = 256;

// A payload field of a message: the field numbers that lead to it, from the
// root, and of a repeated one which of its entries, from 0. Every message on the
// way is in a singular field. Does not own the numbers.
using FieldPath = std::span<const int>;

// Elements to be sent, owned by `owner` and not changed while that lives.
struct Payload {
  std::shared_ptr<const void> owner;
  const std::byte* data = nullptr;
  size_t size_bytes = 0;
};

struct PlacedPayload {
  FieldPath path;
  Payload payload;
};

// The encoding of `message` with the payloads in their places, whatever its
// fields hold there; entries of a repeated field come in the order of `payloads`.
// The buffer shares the payloads instead of copying them, and lets go of them when
// they are sent. Every submessage is one field with its payload last.
// RESOURCE_EXHAUSTED: more than kMaxMessageBytes.
absl::StatusOr<grpc::ByteBuffer> Encode(const google::protobuf::Message& message,
                                        std::initializer_list<PlacedPayload> payloads);
absl::StatusOr<grpc::ByteBuffer> Encode(const google::protobuf::Message& message,
                                        std::span<const PlacedPayload> payloads = {});

// A message that has arrived: what is left of it besides its small fields. Owns
// the received memory. Movable; used by one thread at a time.
class ReceivedPayloads {
 public:
  // None.
  ReceivedPayloads() = default;

  // Parses the buffer, which is empty afterwards. `message` gets every field,
  // present payloads as empty ones. The verdict and the values are those of
  // protobuf's own parser, except that fields besides the payloads have at most
  // kMaxHeadBytes, and repeated payloads at most kMaxEntries. INVALID_ARGUMENT: the
  // bytes are not such a message, or have more.
  static absl::StatusOr<ReceivedPayloads> Parse(grpc::ByteBuffer* buffer,
                                                google::protobuf::Message* message);

  // 0 for a payload that is empty or absent.
  size_t size_bytes(FieldPath path) const;
  // Received bytes that have been copied, to parse them or to move them.
  size_t copied_bytes() const { return copied_bytes_; }

  // Copies the payload to `dst`, where size_bytes(path) fit, and frees the
  // received memory behind it as it goes. Later the payload is gone.
  void MoveTo(FieldPath path, std::byte* dst) { MoveTo(path, dst, size_bytes(path)); }
  // The first `bytes` of it alone; the others are the payload from then on.
  // REQUIRES: bytes <= size_bytes(path).
  void MoveTo(FieldPath path, std::byte* dst, size_t bytes);

 private:
  // A stretch of the received bytes.
  struct Extent {
    std::vector<int> path;
    size_t slice = 0;  // where it begins: slice and offset in it
    size_t offset = 0;
    size_t bytes = 0;
  };
  friend class PayloadParser;

  std::vector<Extent>::const_iterator Find(FieldPath path) const;

  std::vector<grpc::Slice> slices_;
  std::vector<Extent> extents_;
  size_t copied_bytes_ = 0;
};

}  // namespace tconv::codec
