#include "proto/codec/payload_codec.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>

namespace tconv::codec {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

enum WireType : uint32_t {
  kVarint = 0,
  kFixed64 = 1,
  kLengthDelimited = 2,
  kStartGroup = 3,
  kEndGroup = 4,
  kFixed32 = 5,
};

constexpr WireType WireTypeOf(uint32_t tag) { return static_cast<WireType>(tag & 7); }
constexpr uint32_t FieldNumberOf(uint32_t tag) { return tag >> 3; }
constexpr uint32_t LengthDelimitedTag(int field) {
  return static_cast<uint32_t>(field) << 3 | kLengthDelimited;
}

void AppendVarint(uint64_t value, std::string& out) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

bool IsPayload(const FieldDescriptor& field) { return field.type() == FieldDescriptor::TYPE_BYTES; }

// Whether payloads can be below this field. Only messages of our own package
// have them, and those do not contain themselves.
bool MayLeadToPayload(const FieldDescriptor& field) {
  return field.type() == FieldDescriptor::TYPE_MESSAGE && !field.is_repeated() &&
         field.message_type()->file()->package() == field.file()->package();
}

// ---- Sending.

// An encoding in the making: finished slices and the text after them.
class Encoding {
 public:
  size_t bytes() const { return slice_bytes_ + text_.size(); }

  std::string& text() { return text_; }

  void Append(const Payload& payload) {
    if (payload.size_bytes == 0) return;
    FlushText();
    // The slice keeps the owner; its memory is only ever read.
    auto* owner = new std::shared_ptr<const void>(payload.owner);
    Add(grpc::Slice(
        const_cast<std::byte*>(payload.data), payload.size_bytes,
        [](void* kept) { delete static_cast<std::shared_ptr<const void>*>(kept); }, owner));
  }

  void Append(Encoding inner) {
    if (inner.slices_.empty()) {
      text_ += inner.text_;
      return;
    }
    FlushText();
    for (grpc::Slice& slice : inner.slices_) Add(std::move(slice));
    text_ = std::move(inner.text_);
  }

  grpc::ByteBuffer Finish() {
    FlushText();
    return {slices_.data(), slices_.size()};
  }

 private:
  void Add(grpc::Slice slice) {
    slice_bytes_ += slice.size();
    slices_.push_back(std::move(slice));
  }

  void FlushText() {
    if (!text_.empty()) Add(grpc::Slice(text_));
    text_.clear();
  }

  std::vector<grpc::Slice> slices_;
  size_t slice_bytes_ = 0;
  std::string text_;
};

// `payloads` all lie in `message`, which is `depth` fields below the root.
Encoding EncodeMessage(const Message& message, std::span<const PlacedPayload> payloads,
                       size_t depth) {
  Encoding encoding;
  if (payloads.empty()) {
    message.AppendToString(&encoding.text());
    return encoding;
  }
  const Descriptor& type = *message.GetDescriptor();
  const google::protobuf::Reflection& reflection = *message.GetReflection();

  const std::unique_ptr<Message> rest(message.New());
  rest->CopyFrom(message);
  for (const PlacedPayload& placed : payloads) {
    reflection.ClearField(rest.get(), type.FindFieldByNumber(placed.path[depth]));
  }
  rest->AppendToString(&encoding.text());

  while (!payloads.empty()) {
    const int number = payloads.front().path[depth];
    const auto end = std::find_if(payloads.begin(), payloads.end(),
                                  [&](const auto& placed) { return placed.path[depth] != number; });
    const auto here = payloads.first(static_cast<size_t>(end - payloads.begin()));
    payloads = payloads.subspan(here.size());

    const FieldDescriptor* field = type.FindFieldByNumber(number);
    if (IsPayload(*field)) {
      for (const PlacedPayload& entry : here) {
        AppendVarint(LengthDelimitedTag(number), encoding.text());
        AppendVarint(entry.payload.size_bytes, encoding.text());
        encoding.Append(entry.payload);
      }
    } else {
      AppendVarint(LengthDelimitedTag(number), encoding.text());
      Encoding inner = EncodeMessage(reflection.GetMessage(message, field), here, depth + 1);
      AppendVarint(inner.bytes(), encoding.text());
      encoding.Append(std::move(inner));
    }
  }
  return encoding;
}

// ---- Receiving.

// Reads forward through slices, within a limit.
class SliceReader {
 public:
  explicit SliceReader(const std::vector<grpc::Slice>& slices) : slices_(slices) {
    for (const grpc::Slice& slice : slices) limit_ += slice.size();
  }

  size_t position() const { return position_; }
  size_t remaining() const { return limit_ - position_; }
  size_t slice() const { return slice_; }
  size_t offset() const { return offset_; }

  // Ends at `bytes` from here until SetEnd(the value returned).
  // REQUIRES: bytes <= remaining().
  size_t LimitTo(size_t bytes) { return std::exchange(limit_, position_ + bytes); }
  void SetEnd(size_t end) { limit_ = end; }

  bool ReadByte(uint8_t* byte) {
    if (remaining() == 0) return false;
    SkipEmptySlices();
    *byte = slices_[slice_].begin()[offset_];
    Advance(1);
    return true;
  }

  // Passes `bytes`, appended to `out` unless that is null.
  bool Read(size_t bytes, std::string* out) {
    if (bytes > remaining()) return false;
    while (bytes > 0) {
      SkipEmptySlices();
      const grpc::Slice& slice = slices_[slice_];
      const size_t part = std::min(bytes, slice.size() - offset_);
      if (out != nullptr) {
        out->append(reinterpret_cast<const char*>(slice.begin()) + offset_, part);
      }
      Advance(part);
      bytes -= part;
    }
    return true;
  }

 private:
  void SkipEmptySlices() {
    while (offset_ == slices_[slice_].size()) {
      ++slice_;
      offset_ = 0;
    }
  }

  void Advance(size_t bytes) {
    offset_ += bytes;
    position_ += bytes;
  }

  const std::vector<grpc::Slice>& slices_;
  size_t slice_ = 0;
  size_t offset_ = 0;
  size_t position_ = 0;
  size_t limit_ = 0;
};

// As protobuf reads them: values of at most ten bytes, tags of at most five,
// bits beyond the type dropped.
bool ReadVarint(SliceReader& in, int max_bytes, uint64_t* value) {
  *value = 0;
  for (int i = 0; i < max_bytes; ++i) {
    uint8_t byte = 0;
    if (!in.ReadByte(&byte)) return false;
    if (i < 10) *value |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if (byte < 0x80) return true;
  }
  return false;
}

bool ReadTag(SliceReader& in, uint32_t* tag) {
  uint64_t value = 0;
  if (!ReadVarint(in, 5, &value)) return false;
  *tag = static_cast<uint32_t>(value);
  return FieldNumberOf(*tag) != 0;
}

// A length that is really there.
bool ReadLength(SliceReader& in, size_t* bytes) {
  uint64_t value = 0;
  if (!ReadVarint(in, 5, &value) || value > in.remaining()) return false;
  *bytes = static_cast<size_t>(value);
  return true;
}

}  // namespace

// Takes a message apart: payloads are passed over and noted, all else is
// collected as an encoding that protobuf parses.
class PayloadParser {
 public:
  explicit PayloadParser(ReceivedPayloads& received) : received_(received), in_(received.slices_) {}

  // Appends the small fields of a message of `type`, from here to the limit, to
  // `head`.
  bool Split(const Descriptor& type, std::string& head) {
    while (in_.remaining() > 0) {
      uint32_t tag = 0;
      if (!ReadTag(in_, &tag)) return false;
      const FieldDescriptor* field =
          WireTypeOf(tag) == kLengthDelimited
              ? type.FindFieldByNumber(static_cast<int>(FieldNumberOf(tag)))
              : nullptr;
      bool is_read = false;
      if (field != nullptr && IsPayload(*field)) {
        is_read = NotePayload(*field, tag, head);
      } else if (field != nullptr && MayLeadToPayload(*field)) {
        is_read = SplitSubmessage(*field, tag, head);
      } else {
        is_read = KeepField(tag, head);
      }
      if (!is_read || !IsWithinLimit(head.size())) return false;
    }
    return true;
  }

  // Whether that is why Split() has failed.
  bool has_too_much() const { return has_too_much_; }

 private:
  bool IsWithinLimit(size_t head_bytes) {
    has_too_much_ |= head_bytes > kMaxHeadBytes;
    return !has_too_much_;
  }

  // The head keeps an empty field, or entry of one, so that its presence is known.
  bool NotePayload(const FieldDescriptor& field, uint32_t tag, std::string& head) {
    ReceivedPayloads::Extent extent{path_, 0, 0, 0};
    extent.path.push_back(field.number());
    if (field.is_repeated()) {
      has_too_much_ |= ++entry_count_ > kMaxEntries;
      extent.path.push_back(entries_[extent.path]++);
    }
    if (has_too_much_ || !ReadLength(in_, &extent.bytes)) return false;
    extent.slice = in_.slice();
    extent.offset = in_.offset();
    in_.Read(extent.bytes, nullptr);
    // Of several occurrences of a field the last one counts.
    std::erase_if(received_.extents_, [&](const auto& other) { return other.path == extent.path; });
    received_.extents_.push_back(std::move(extent));
    AppendVarint(tag, head);
    AppendVarint(0, head);
    return true;
  }

  bool SplitSubmessage(const FieldDescriptor& field, uint32_t tag, std::string& head) {
    size_t bytes = 0;
    if (!ReadLength(in_, &bytes)) return false;
    const size_t outer_end = in_.LimitTo(bytes);
    path_.push_back(field.number());
    std::string inner;
    const bool is_read = Split(*field.message_type(), inner);
    path_.pop_back();
    in_.SetEnd(outer_end);
    AppendVarint(tag, head);
    AppendVarint(inner.size(), head);
    head += inner;
    return is_read;
  }

  bool KeepField(uint32_t tag, std::string& head) {
    AppendVarint(tag, head);
    switch (WireTypeOf(tag)) {
      case kVarint:
        return KeepVarint(head);
      case kFixed64:
        return in_.Read(8, &head);
      case kLengthDelimited:
        return KeepDelimited(head);
      case kStartGroup:
        return KeepGroup(FieldNumberOf(tag), head);
      case kFixed32:
        return in_.Read(4, &head);
      default:
        return false;
    }
  }

  bool KeepVarint(std::string& head) {
    uint64_t value = 0;
    if (!ReadVarint(in_, 10, &value)) return false;
    AppendVarint(value, head);
    return true;
  }

  bool KeepDelimited(std::string& head) {
    size_t bytes = 0;
    if (!ReadLength(in_, &bytes) || !IsWithinLimit(bytes)) return false;
    AppendVarint(bytes, head);
    return in_.Read(bytes, &head);
  }

  // Groups are obsolete, but a parser has to pass over unknown ones. Their depth
  // is limited here only to bound the recursion; protobuf judges it.
  bool KeepGroup(uint32_t number, std::string& head) {
    constexpr int kMaxDepth = 128;
    if (++group_depth_ > kMaxDepth) return false;
    for (;;) {
      uint32_t tag = 0;
      if (!ReadTag(in_, &tag)) return false;
      if (WireTypeOf(tag) == kEndGroup) {
        AppendVarint(tag, head);
        --group_depth_;
        return FieldNumberOf(tag) == number;
      }
      if (!KeepField(tag, head) || !IsWithinLimit(head.size())) return false;
    }
  }

  ReceivedPayloads& received_;
  SliceReader in_;
  std::vector<int> path_;
  std::map<std::vector<int>, int> entries_;  // of repeated payloads, by path
  int entry_count_ = 0;                      // of all of them
  int group_depth_ = 0;
  bool has_too_much_ = false;
};

absl::StatusOr<grpc::ByteBuffer> Encode(const Message& message,
                                        std::span<const PlacedPayload> payloads) {
  Encoding encoding = EncodeMessage(message, payloads, 0);
  if (encoding.bytes() > kMaxMessageBytes) {
    return absl::ResourceExhaustedError(absl::StrCat("a message of ", encoding.bytes(),
                                                     " bytes is more than the ", kMaxMessageBytes,
                                                     " that one can carry"));
  }
  return encoding.Finish();
}

absl::StatusOr<grpc::ByteBuffer> Encode(const Message& message,
                                        std::initializer_list<PlacedPayload> payloads) {
  return Encode(message, std::span<const PlacedPayload>(payloads.begin(), payloads.size()));
}

absl::StatusOr<ReceivedPayloads> ReceivedPayloads::Parse(grpc::ByteBuffer* buffer,
                                                         Message* message) {
  const size_t bytes = buffer->Length();
  ReceivedPayloads received;
  const bool is_dumped = buffer->Dump(&received.slices_).ok();
  buffer->Clear();
  std::string head;
  PayloadParser parser(received);
  if (is_dumped && bytes <= kMaxMessageBytes && parser.Split(*message->GetDescriptor(), head) &&
      message->ParseFromString(head)) {
    received.copied_bytes_ = head.size();
    return received;
  }
  if (parser.has_too_much()) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected an encoded ", message->GetTypeName(), " with at most ",
                     kMaxHeadBytes, " bytes besides its payloads, of which lists have at most ",
                     kMaxEntries, " entries, got more"));
  }
  return absl::InvalidArgumentError(absl::StrCat("expected an encoded ", message->GetTypeName(),
                                                 " with texts in UTF-8, got ", bytes,
                                                 " bytes that are not one"));
}

std::vector<ReceivedPayloads::Extent>::const_iterator ReceivedPayloads::Find(FieldPath path) const {
  return std::find_if(extents_.begin(), extents_.end(), [&](const Extent& extent) {
    return std::equal(extent.path.begin(), extent.path.end(), path.begin(), path.end());
  });
}

size_t ReceivedPayloads::size_bytes(FieldPath path) const {
  const auto extent = Find(path);
  return extent == extents_.end() ? 0 : extent->bytes;
}

void ReceivedPayloads::MoveTo(FieldPath path, std::byte* dst, size_t bytes) {
  const auto found = Find(path);
  if (found == extents_.end()) return;
  Extent& extent = extents_[static_cast<size_t>(found - extents_.begin())];
  extent.bytes -= bytes;
  copied_bytes_ += bytes;
  while (bytes > 0) {
    grpc::Slice& slice = slices_[extent.slice];
    const size_t part = std::min(bytes, slice.size() - extent.offset);
    if (part > 0) std::memcpy(dst, slice.begin() + extent.offset, part);
    dst += part;
    bytes -= part;
    extent.offset += part;
    if (extent.offset < slice.size()) break;
    // The first and the last one may be shared with a neighbour.
    if (part == slice.size()) slice = grpc::Slice();
    ++extent.slice;
    extent.offset = 0;
  }
  if (extent.bytes == 0) extents_.erase(found);
}

}  // namespace tconv::codec
