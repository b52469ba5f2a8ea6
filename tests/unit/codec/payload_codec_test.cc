#include "proto/codec/payload_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <inference/grpc_inference_service.pb.h>
#include <tconv/v1/transposed_conv.pb.h>

#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

namespace tconv::codec {
namespace {

using ::testing::HasSubstr;

constexpr int kInputData[] = {v1::ForwardRequest::kInputFieldNumber, v1::Tensor::kDataFieldNumber};
constexpr int kKernelData[] = {v1::SetWeightsRequest::kWeightsFieldNumber,
                               v1::Weights::kKernelFieldNumber, v1::Tensor::kDataFieldNumber};
constexpr int kBiasData[] = {v1::SetWeightsRequest::kWeightsFieldNumber,
                             v1::Weights::kBiasFieldNumber, v1::Tensor::kDataFieldNumber};
constexpr int kChunkData[] = {v1::ForwardStreamRequest::kDataFieldNumber};
constexpr int kRawInputs = inference::ModelInferRequest::kRawInputContentsFieldNumber;
constexpr int kRawOutputs = inference::ModelInferResponse::kRawOutputContentsFieldNumber;

std::string RandomBytes(size_t size) {
  std::string bytes(size, '\0');
  std::iota(bytes.begin(), bytes.end(), '\1');
  return bytes;
}

Payload PayloadOf(std::string bytes) {
  const auto owner = std::make_shared<const std::string>(std::move(bytes));
  return {owner, reinterpret_cast<const std::byte*>(owner->data()), owner->size()};
}

std::vector<grpc::Slice> SlicesOf(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(buffer.Dump(&slices).ok());
  return slices;
}

std::string Join(const grpc::ByteBuffer& buffer) {
  std::string text;
  for (const grpc::Slice& slice : SlicesOf(buffer)) {
    text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return text;
}

grpc::ByteBuffer BufferOf(std::string_view bytes, size_t slice_bytes) {
  std::vector<grpc::Slice> slices;
  for (size_t begin = 0; begin < bytes.size(); begin += slice_bytes) {
    slices.emplace_back(std::string(bytes.substr(begin, slice_bytes)));
  }
  return {slices.data(), slices.size()};
}

std::string Take(ReceivedPayloads& payloads, FieldPath path) {
  std::string bytes(payloads.size_bytes(path), '?');
  payloads.MoveTo(path, reinterpret_cast<std::byte*>(bytes.data()));
  return bytes;
}

v1::ForwardRequest SomeForward() {
  v1::ForwardRequest request;
  request.set_name("up");
  request.set_compute_losses(true);
  request.mutable_input()->set_dtype(v1::DATA_TYPE_FLOAT16);
  request.mutable_input()->add_shape(500);
  return request;
}

TEST(PayloadCodecTest, ProtobufReadsWhatIsEncoded) {
  const std::string data = RandomBytes(1000);
  v1::ForwardRequest expected = SomeForward();
  expected.mutable_input()->set_data(data);
  v1::ForwardRequest parsed;
  ASSERT_TRUE(
      parsed.ParseFromString(Join(*Encode(SomeForward(), {{kInputData, PayloadOf(data)}}))));
  EXPECT_EQ(parsed.SerializeAsString(), expected.SerializeAsString());
}

TEST(PayloadCodecTest, APayloadIsSentFromWhereItLies) {
  const Payload payload = PayloadOf(RandomBytes(1 << 20));
  const grpc::ByteBuffer buffer = *Encode(SomeForward(), {{kInputData, payload}});
  const std::vector<grpc::Slice> slices = SlicesOf(buffer);
  ASSERT_EQ(slices.size(), 2);
  EXPECT_EQ(slices[1].begin(), reinterpret_cast<const uint8_t*>(payload.data));
}

TEST(PayloadCodecTest, ABufferKeepsItsPayloadsAliveAndNoLonger) {
  Payload payload = PayloadOf(RandomBytes(1000));
  const std::weak_ptr<const void> owner = payload.owner;
  grpc::ByteBuffer buffer = *Encode(SomeForward(), {{kInputData, std::move(payload)}});
  payload = {};
  EXPECT_FALSE(owner.expired());
  buffer.Clear();
  EXPECT_TRUE(owner.expired());
}

TEST(PayloadCodecTest, ReadsWhatProtobufWritesWhereverItIsCut) {
  v1::SetWeightsRequest request;
  request.set_name("up");
  request.set_if_version(300);
  request.mutable_weights()->mutable_kernel()->add_shape(1 << 20);
  request.mutable_weights()->mutable_kernel()->set_data(RandomBytes(300));
  request.mutable_weights()->mutable_bias()->set_data(RandomBytes(20));
  const std::string bytes = request.SerializeAsString();
  for (size_t slice_bytes = 1; slice_bytes <= bytes.size(); ++slice_bytes) {
    grpc::ByteBuffer buffer = BufferOf(bytes, slice_bytes);
    v1::SetWeightsRequest parsed;
    auto payloads = ReceivedPayloads::Parse(&buffer, &parsed);
    ASSERT_TRUE(payloads.ok()) << slice_bytes;
    EXPECT_TRUE(parsed.weights().kernel().data().empty());
    // In any order.
    EXPECT_EQ(Take(*payloads, kBiasData), request.weights().bias().data());
    EXPECT_EQ(Take(*payloads, kKernelData), request.weights().kernel().data());
    EXPECT_EQ(parsed.if_version(), 300);
    EXPECT_EQ(parsed.weights().kernel().shape(0), 1 << 20);
    EXPECT_LE(payloads->copied_bytes(), bytes.size()) << "every byte is copied once";
  }
}

TEST(PayloadCodecTest, ParsingEmptiesTheBuffer) {
  grpc::ByteBuffer buffer = BufferOf(SomeForward().SerializeAsString(), 7);
  v1::ForwardRequest parsed;
  ASSERT_TRUE(ReceivedPayloads::Parse(&buffer, &parsed).ok());
  EXPECT_FALSE(buffer.Valid());
}

TEST(PayloadCodecTest, ThePresenceOfAnEmptyPayloadIsKnown) {
  v1::ForwardStreamRequest part;
  part.set_data("");
  grpc::ByteBuffer buffer = BufferOf(part.SerializeAsString(), 1);
  v1::ForwardStreamRequest parsed;
  const auto payloads = ReceivedPayloads::Parse(&buffer, &parsed);
  ASSERT_TRUE(payloads.ok());
  EXPECT_EQ(parsed.part_case(), v1::ForwardStreamRequest::kData);
  EXPECT_EQ(payloads->size_bytes(kChunkData), 0);
}

TEST(PayloadCodecTest, AnEmptyMessageIsAMessage) {
  const grpc::ByteBuffer buffer = *Encode(v1::DeleteResponse(), {});
  EXPECT_TRUE(buffer.Valid());
  EXPECT_EQ(buffer.Length(), 0);
  grpc::ByteBuffer copy = buffer;
  v1::DeleteResponse parsed;
  EXPECT_TRUE(ReceivedPayloads::Parse(&copy, &parsed).ok());
}

TEST(PayloadCodecTest, OfSeveralOccurrencesTheLastCounts) {
  v1::ForwardRequest first = SomeForward();
  first.mutable_input()->set_data("first");
  v1::ForwardRequest second;
  second.mutable_input()->set_data("second!");
  grpc::ByteBuffer buffer = BufferOf(first.SerializeAsString() + second.SerializeAsString(), 3);
  v1::ForwardRequest parsed;
  auto payloads = ReceivedPayloads::Parse(&buffer, &parsed);
  ASSERT_TRUE(payloads.ok());
  EXPECT_EQ(parsed.input().shape_size(), 1);
  EXPECT_EQ(Take(*payloads, kInputData), "second!");
}

TEST(PayloadCodecTest, TheEntriesOfARepeatedPayloadAreToldApart) {
  inference::ModelInferRequest request;
  request.set_model_name("up");
  for (const char* entry : {"first", "", "the third"}) request.add_raw_input_contents(entry);
  request.add_inputs()->mutable_contents()->add_bytes_contents("no payload");
  const std::string bytes = request.SerializeAsString();
  for (size_t slice_bytes = 1; slice_bytes <= bytes.size(); ++slice_bytes) {
    grpc::ByteBuffer buffer = BufferOf(bytes, slice_bytes);
    inference::ModelInferRequest parsed;
    auto payloads = ReceivedPayloads::Parse(&buffer, &parsed);
    ASSERT_TRUE(payloads.ok()) << slice_bytes;
    ASSERT_EQ(parsed.raw_input_contents_size(), 3);
    EXPECT_TRUE(parsed.raw_input_contents(0).empty());
    EXPECT_EQ(parsed.inputs(0).contents().bytes_contents(0), "no payload");
    for (const int entry : {2, 1, 0}) {
      const int path[] = {kRawInputs, entry};
      EXPECT_EQ(Take(*payloads, path), request.raw_input_contents(entry));
    }
    const int beyond[] = {kRawInputs, 3};
    EXPECT_EQ(payloads->size_bytes(beyond), 0);
  }
}

TEST(PayloadCodecTest, TheEntriesOfARepeatedPayloadAreSentInTheirOrder) {
  constexpr int kFirst[] = {inference::ModelStreamInferResponse::kInferResponseFieldNumber,
                            kRawOutputs, 0};
  constexpr int kSecond[] = {inference::ModelStreamInferResponse::kInferResponseFieldNumber,
                             kRawOutputs, 1};
  inference::ModelStreamInferResponse response;
  response.mutable_infer_response()->set_id("7");
  // What the field holds is not sent.
  response.mutable_infer_response()->add_raw_output_contents("?");
  const auto buffer =
      Encode(response, {{kFirst, PayloadOf(RandomBytes(300))}, {kSecond, PayloadOf("")}});
  inference::ModelStreamInferResponse parsed;
  ASSERT_TRUE(parsed.ParseFromString(Join(*buffer)));
  EXPECT_EQ(parsed.infer_response().id(), "7");
  ASSERT_EQ(parsed.infer_response().raw_output_contents_size(), 2);
  EXPECT_EQ(parsed.infer_response().raw_output_contents(0), RandomBytes(300));
  EXPECT_EQ(parsed.infer_response().raw_output_contents(1), "");
}

TEST(PayloadCodecTest, MoreThanAReaderWantsIsRefusedInSoManyWords) {
  inference::ModelInferRequest many;
  for (int i = 0; i <= kMaxEntries; ++i) many.add_raw_input_contents();
  inference::ModelInferRequest large;
  auto& values = *large.add_inputs()->mutable_contents()->mutable_fp32_contents();
  values.Resize((4 << 20) / sizeof(float) + 1, 1);
  for (const auto& request : {many, large}) {
    grpc::ByteBuffer buffer = BufferOf(request.SerializeAsString(), 1 << 16);
    inference::ModelInferRequest parsed;
    const absl::Status status = ReceivedPayloads::Parse(&buffer, &parsed).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("4194304 bytes besides its payloads"));
  }
  many.mutable_raw_input_contents()->RemoveLast();
  grpc::ByteBuffer buffer = BufferOf(many.SerializeAsString(), 1 << 16);
  inference::ModelInferRequest parsed;
  EXPECT_TRUE(ReceivedPayloads::Parse(&buffer, &parsed).ok());
}

TEST(PayloadCodecTest, WhatIsNoMessageIsAnInvalidArgument) {
  const struct {
    const char* what;
    std::string bytes;
  } kCases[] = {
      {"an unfinished tag", "\xff"},
      {"a length beyond the end", std::string("\x0a\x05up", 4)},
      {"a payload beyond its tensor", std::string("\x12\x03\x1a\x05xxxxxx", 10)},
      {"a tensor beyond the message", std::string("\x12\x7f\x1a\x01x", 5)},
      {"field number zero", std::string("\x02\x01x", 3)},
      {"a length of 2^63", std::string("\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10)},
      {"an end without a group", "\x0c"},
      {"a group without an end", "\xfb\x01\x08\x01"},
      {"text that is not UTF-8", "\x0a\x02\xff\xfe"},
      {"many nested groups", std::string(4000, '\x7b')},
      {"large small fields", "\x0a\x80\x80\x80\x04" + std::string(8 << 20, 'x')},
  };
  for (const auto& test : kCases) {
    grpc::ByteBuffer buffer = BufferOf(test.bytes, 1 << 16);
    v1::ForwardRequest parsed;
    const absl::Status status = ReceivedPayloads::Parse(&buffer, &parsed).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << test.what;
    EXPECT_THAT(std::string(status.message()), HasSubstr("tconv.v1.ForwardRequest")) << test.what;
  }
}

TEST(PayloadCodecTest, MoreThanAMessageCanCarryIsRefused) {
  // Never read: the size alone decides.
  const std::byte byte{};
  const Payload payload{nullptr, &byte, kMaxMessageBytes};
  EXPECT_EQ(Encode(SomeForward(), {{kInputData, payload}}).status().code(),
            absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace tconv::codec
