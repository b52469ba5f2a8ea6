// What server and client agree on beside the .proto files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

struct XXH3_state_s;

namespace tconv::codec {

// Metadata of a request: the size of its message, in decimal.
inline constexpr char kMessageBytesKey[] = "tconv-message-bytes";
// Metadata of a request: the layer that it is about, percent-encoded, for
// balancers that send the calls of a layer to one server.
inline constexpr char kLayerKey[] = "tconv-layer";
// Metadata of a request and of its answer: the header of W3C Trace Context.
inline constexpr char kTraceparentKey[] = "traceparent";
// Trailing metadata of an answer: the server's times in microseconds, as
// "queue=12,plan=3,compute=840,serialize=5".
inline constexpr char kTimingKey[] = "tconv-timing";

// The field of the elements in every message of every stream.
inline constexpr int kDataPath[] = {2};
// Bytes of elements in one message, as both sides send them.
inline constexpr size_t kChunkBytes = size_t{1} << 20;

// XXH3 (64 bits, seed 0), which streams of elements end with, of bytes that come
// in any number of pieces. Guards against accidents, not against forgery.
class Checksum {
 public:
  Checksum();

  void Reset();
  void Add(std::span<const std::byte> bytes);
  uint64_t value() const;

 private:
  struct Free {
    void operator()(XXH3_state_s* state) const;
  };

  std::unique_ptr<XXH3_state_s, Free> state_;
};

}  // namespace tconv::codec
