#include "server/rpc/message_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/v1/transposed_conv.pb.h>

#include <string>

#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

grpc::ByteBuffer BufferOf(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

TEST(MessageCodecTest, AMessageComesBackAsItWas) {
  v1::SetWeightsRequest request;
  request.set_name("up");
  // Longer than one block of the buffer.
  request.mutable_weights()->mutable_kernel()->set_data(std::string(3 << 20, 'x'));
  auto buffer = SerializeMessage(request);
  ASSERT_THAT(buffer, IsOk());
  v1::SetWeightsRequest parsed;
  ASSERT_THAT(ParseMessage(&*buffer, &parsed), IsOk());
  EXPECT_EQ(parsed.SerializeAsString(), request.SerializeAsString());
}

TEST(MessageCodecTest, AnEmptyMessageIsAnEmptyBuffer) {
  auto buffer = SerializeMessage(v1::DeleteResponse());
  ASSERT_THAT(buffer, IsOk());
  EXPECT_TRUE(buffer->Valid());
  EXPECT_EQ(buffer->Length(), 0);
  v1::DeleteResponse parsed;
  EXPECT_THAT(ParseMessage(&*buffer, &parsed), IsOk());
}

TEST(MessageCodecTest, ParsingGivesTheMemoryOfTheBufferBack) {
  grpc::ByteBuffer buffer = BufferOf(std::string("\x0a\x02up"));
  v1::GetRequest parsed;
  ASSERT_THAT(ParseMessage(&buffer, &parsed), IsOk());
  EXPECT_FALSE(buffer.Valid());
}

TEST(MessageCodecTest, BytesThatAreNoSuchMessageAreInvalidArguments) {
  for (const char* bytes : {"\x0a\x05up", "\xff\xff\xff", "\x0a\x02\xff\xfe"}) {
    grpc::ByteBuffer buffer = BufferOf(bytes);
    v1::GetRequest parsed;
    EXPECT_THAT(ParseMessage(&buffer, &parsed),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr("tconv.v1.GetRequest")));
  }
}

}  // namespace
}  // namespace tconv::server
