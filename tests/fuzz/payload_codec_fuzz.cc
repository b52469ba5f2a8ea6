// Any bytes, cut into any slices, as one of the messages that carry payloads: the
// codec gives the verdict and the values of protobuf's own parser, and protobuf
// reads what the codec encodes.
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <inference/grpc_inference_service.pb.h>
#include <tconv/v1/transposed_conv.pb.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "proto/codec/payload_codec.h"

namespace tconv::codec {
namespace {

using google::protobuf::Message;

// Stops the fuzzer, which then keeps the input.
void Check(bool condition, std::string_view what) {
  if (condition) return;
  std::cerr << what << "\n";
  std::abort();
}

// Where a message has a payload, and how protobuf names that field.
template <typename T>
struct PayloadField {
  std::vector<int> path;
  std::function<std::string*(T&)> field;
  std::function<bool(const T&)> is_present;
};

grpc::ByteBuffer SlicesOf(std::string_view bytes, size_t slice_bytes) {
  std::vector<grpc::Slice> slices;
  for (size_t begin = 0; begin < bytes.size(); begin += slice_bytes) {
    slices.emplace_back(std::string(bytes.substr(begin, slice_bytes)));
  }
  return {slices.data(), slices.size()};
}

std::string Join(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  Check(buffer.Dump(&slices).ok(), "cannot read an encoded message");
  std::string text;
  for (const grpc::Slice& slice : slices) {
    text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return text;
}

// The same for equal messages, also when they have maps.
std::string Encoded(const Message& message) {
  std::string text;
  google::protobuf::io::StringOutputStream stream(&text);
  google::protobuf::io::CodedOutputStream out(&stream);
  out.SetSerializationDeterministic(true);
  Check(message.SerializeToCodedStream(&out), "cannot encode");
  out.Trim();
  return text;
}

// `expected` is what protobuf made of the bytes.
template <typename T>
void CheckValues(ReceivedPayloads& payloads, T head, const T& expected,
                 const std::vector<PayloadField<T>>& fields) {
  T whole = head;
  for (const PayloadField<T>& field : fields) {
    if (!field.is_present(whole)) continue;
    std::string data(payloads.size_bytes(field.path), '?');
    payloads.MoveTo(field.path, reinterpret_cast<std::byte*>(data.data()));
    *field.field(whole) = std::move(data);
  }
  Check(Encoded(whole) == Encoded(expected), "other values than protobuf's");

  std::vector<PlacedPayload> placed;
  for (const PayloadField<T>& field : fields) {
    if (!field.is_present(whole)) continue;
    const std::string& data = *field.field(whole);
    placed.push_back(
        {field.path, {nullptr, reinterpret_cast<const std::byte*>(data.data()), data.size()}});
  }
  T again;
  Check(again.ParseFromString(Join(*Encode(head, placed))), "protobuf cannot read an encoding");
  Check(Encoded(again) == Encoded(expected), "encoded to something else");
}

template <typename T>
bool HasTooManyEntries(const T&) {
  return false;
}
bool HasTooManyEntries(const inference::ModelInferRequest& request) {
  return request.raw_input_contents_size() > kMaxEntries;
}

template <typename T>
void CheckMessage(std::string_view bytes, size_t slice_bytes,
                  const std::vector<PayloadField<T>>& fields) {
  T expected;
  const bool is_message = expected.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  grpc::ByteBuffer buffer = SlicesOf(bytes, slice_bytes);
  T head;
  auto payloads = ReceivedPayloads::Parse(&buffer, &head);
  if (HasTooManyEntries(expected)) return Check(!payloads.ok(), "took too many entries");
  Check(payloads.ok() == is_message, "another verdict than protobuf's");
  // Unknown fields keep their order here, but need not keep it in protobuf.
  expected.DiscardUnknownFields();
  head.DiscardUnknownFields();
  if (payloads.ok()) CheckValues(*payloads, head, expected, fields);
}

void CheckForward(std::string_view bytes, size_t slice_bytes) {
  using T = v1::ForwardRequest;
  CheckMessage<T>(bytes, slice_bytes,
                  {{{2, 3},
                    [](T& message) { return message.mutable_input()->mutable_data(); },
                    [](const T& message) { return message.has_input(); }}});
}

void CheckSetWeights(std::string_view bytes, size_t slice_bytes) {
  using T = v1::SetWeightsRequest;
  CheckMessage<T>(
      bytes, slice_bytes,
      {{{2, 1, 3},
        [](T& message) { return message.mutable_weights()->mutable_kernel()->mutable_data(); },
        [](const T& message) { return message.weights().has_kernel(); }},
       {{2, 2, 3},
        [](T& message) { return message.mutable_weights()->mutable_bias()->mutable_data(); },
        [](const T& message) { return message.weights().has_bias(); }}});
}

void CheckStreamPart(std::string_view bytes, size_t slice_bytes) {
  using T = v1::ForwardStreamRequest;
  CheckMessage<T>(bytes, slice_bytes,
                  {{{2},
                    [](T& message) { return message.mutable_data(); },
                    [](const T& message) { return message.has_data(); }}});
}

void CheckInfer(std::string_view bytes, size_t slice_bytes) {
  using T = inference::ModelInferRequest;
  std::vector<PayloadField<T>> fields;
  for (int i = 0; i < kMaxEntries; ++i) {
    fields.push_back({{T::kRawInputContentsFieldNumber, i},
                      [i](T& message) { return message.mutable_raw_input_contents(i); },
                      [i](const T& message) { return message.raw_input_contents_size() > i; }});
  }
  CheckMessage<T>(bytes, slice_bytes, fields);
}

}  // namespace
}  // namespace tconv::codec

// The first byte chooses the message and the size of the slices.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  constexpr std::array kChecks = {tconv::codec::CheckForward, tconv::codec::CheckSetWeights,
                                  tconv::codec::CheckStreamPart, tconv::codec::CheckInfer};
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  kChecks[data[0] % kChecks.size()](bytes, 1 + data[0] / kChecks.size() % 17);
  return 0;
}
