// Any sequence of stream parts, right, wrong or of any bytes, cut into any
// slices: the server takes exactly the streams that have as many bytes as they
// promised and the checksum of these, and hands on the bytes that protobuf's own
// parser finds in them.
#include <tconv/v1/transposed_conv.pb.h>
#include <xxhash.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/rpc/stream_parts.h"

namespace tconv::server {
namespace {

// Stops the fuzzer, which then keeps the input.
void Check(bool condition, std::string_view what) {
  if (condition) return;
  std::cerr << what << "\n";
  std::abort();
}

// Decisions and bytes out of the input of the fuzzer.
class Source {
 public:
  explicit Source(std::string_view bytes) : bytes_(bytes) {}
  bool IsEmpty() const { return bytes_.empty(); }
  // 0 at the end.
  uint8_t Byte() {
    const std::string_view byte = Bytes(1);
    return byte.empty() ? 0 : static_cast<uint8_t>(byte.front());
  }
  std::string_view Bytes(size_t most) {
    const std::string_view next = bytes_.substr(0, most);
    bytes_.remove_prefix(next.size());
    return next;
  }

 private:
  std::string_view bytes_;
};

// A stream as protobuf and a string see it.
class Model {
 public:
  explicit Model(size_t expected_bytes) : expected_bytes_(expected_bytes) {}

  const std::string& elements() const { return elements_; }
  uint64_t checksum() const { return XXH3_64bits(elements_.data(), elements_.size()); }

  bool Take(const std::string& data) {
    elements_ += data;
    return elements_.size() <= expected_bytes_;
  }
  bool IsRight(const v1::StreamEnd& end) const {
    return elements_.size() == expected_bytes_ && (!end.has_xxh3() || end.xxh3() == checksum());
  }

 private:
  const size_t expected_bytes_;
  std::string elements_;
};

std::string NextMessage(Source& source, const Model& model) {
  enum Kind { kAnyBytes, kData, kEnd, kRightEnd, kKinds };
  v1::ForwardStreamRequest request;
  switch (source.Byte() % kKinds) {
    case kAnyBytes:
      return std::string(source.Bytes(source.Byte()));
    case kData:
      request.set_data(std::string(source.Bytes(source.Byte())));
      break;
    case kEnd:
      request.mutable_end()->set_xxh3(source.Byte());
      break;
    default:
      request.mutable_end()->set_xxh3(model.checksum());
  }
  return request.SerializeAsString();
}

grpc::ByteBuffer SlicesOf(const std::string& bytes, size_t slice_bytes) {
  std::vector<grpc::Slice> slices;
  for (size_t begin = 0; begin < bytes.size(); begin += slice_bytes) {
    slices.emplace_back(bytes.substr(begin, slice_bytes));
  }
  return {slices.data(), slices.size()};
}

// In pieces, as there is room for them.
void MoveAll(IncomingElements& elements, size_t piece_bytes, std::string* moved) {
  while (elements.pending_bytes() > 0) {
    const size_t bytes = std::min(elements.pending_bytes(), piece_bytes);
    std::string piece(bytes, '?');
    elements.MoveTo(std::as_writable_bytes(std::span(piece)));
    *moved += piece;
  }
}

// What is sent in any pieces is what is received.
void CheckSending(const Model& model, size_t piece_bytes) {
  const auto all = std::as_bytes(std::span(model.elements()));
  OutgoingElements sent;
  std::string joined;
  for (size_t begin = 0; begin < all.size(); begin += piece_bytes) {
    sent.Put(nullptr, all.subspan(begin, std::min(piece_bytes, all.size() - begin)));
    while (!sent.IsEmpty()) {
      const codec::Payload part = sent.Next();
      joined.append(reinterpret_cast<const char*>(part.data), part.size_bytes);
    }
  }
  Check(joined == model.elements(), "other elements are sent");
  Check(sent.End().xxh3() == model.checksum(), "the checksum is not that of what is sent");
}

void CheckStream(Source source) {
  const size_t expected_bytes = source.Byte();
  const size_t slice_bytes = 1 + source.Byte() % 17;
  const size_t piece_bytes = 1 + source.Byte();
  IncomingElements incoming(static_cast<int64_t>(expected_bytes));
  Model model(expected_bytes);
  std::string moved;
  while (!source.IsEmpty()) {
    const std::string bytes = NextMessage(source, model);
    v1::ForwardStreamRequest expected;
    const bool is_message = expected.ParseFromString(bytes);
    grpc::ByteBuffer buffer = SlicesOf(bytes, slice_bytes);
    v1::ForwardStreamRequest request;
    auto data = codec::ReceivedPayloads::Parse(&buffer, &request);
    Check(data.ok() == is_message, "another verdict than protobuf's");
    if (!is_message) return;
    Check(request.part_case() == expected.part_case(), "another part than protobuf's");
    if (expected.has_data()) {
      const bool is_taken = incoming.Receive(*std::move(data)).ok();
      Check(is_taken == model.Take(expected.data()), "another verdict on data");
      if (!is_taken) return;
      MoveAll(incoming, piece_bytes, &moved);
      Check(moved == model.elements(), "other elements than protobuf's");
      Check(incoming.is_complete() == (moved.size() == expected_bytes), "complete or not");
    } else if (expected.has_end()) {
      Check(incoming.CheckEnd(request.end()).ok() == model.IsRight(expected.end()),
            "another verdict on the end");
      return CheckSending(model, piece_bytes);
    }
  }
}

}  // namespace
}  // namespace tconv::server

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using tconv::server::Source;
  tconv::server::CheckStream(Source({reinterpret_cast<const char*>(data), size}));
  return 0;
}
