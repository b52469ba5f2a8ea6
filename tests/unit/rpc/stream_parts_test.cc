#include "server/rpc/stream_parts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/v1/transposed_conv.pb.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::tconv::testing::IsOk;
using ::tconv::testing::StatusIs;
using ::testing::HasSubstr;

std::span<const std::byte> BytesOf(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// A message with this data, as it arrives in slices of so many bytes.
codec::ReceivedPayloads MessageWith(const std::string& data, size_t slice_bytes) {
  v1::ForwardStreamRequest request;
  request.set_data(data);
  const std::string encoded = request.SerializeAsString();
  std::vector<grpc::Slice> slices;
  for (size_t begin = 0; begin < encoded.size(); begin += slice_bytes) {
    slices.emplace_back(encoded.substr(begin, slice_bytes));
  }
  grpc::ByteBuffer buffer(slices.data(), slices.size());
  return codec::ReceivedPayloads::Parse(&buffer, &request).value();
}

uint64_t ChecksumOf(const std::string& text) {
  codec::Checksum checksum;
  checksum.Add(BytesOf(text));
  return checksum.value();
}

TEST(IncomingElementsTest, AreMovedInAnyPieces) {
  const std::string sent = "the elements of some tensor, as one stream of bytes";
  for (size_t slice_bytes = 1; slice_bytes <= sent.size(); ++slice_bytes) {
    for (size_t piece_bytes = 1; piece_bytes <= sent.size(); ++piece_bytes) {
      IncomingElements elements(static_cast<int64_t>(sent.size()));
      ASSERT_THAT(elements.Receive(MessageWith(sent, slice_bytes)), IsOk());
      std::string moved(sent.size(), '\0');
      for (auto rest = std::as_writable_bytes(std::span(moved)); !rest.empty();) {
        EXPECT_FALSE(elements.is_complete());
        const size_t bytes = std::min(piece_bytes, rest.size());
        elements.MoveTo(rest.first(bytes));
        rest = rest.subspan(bytes);
        ASSERT_EQ(elements.pending_bytes(), rest.size());
      }
      ASSERT_EQ(moved, sent);
      EXPECT_TRUE(elements.is_complete());
      v1::StreamEnd end;
      end.set_xxh3(ChecksumOf(sent));
      EXPECT_THAT(elements.CheckEnd(end), IsOk());
    }
  }
}

TEST(IncomingElementsTest, MustBeAsManyAsWereToldAndHaveTheirChecksum) {
  IncomingElements elements(6);
  ASSERT_THAT(elements.Receive(MessageWith("abcd", 3)), IsOk());
  std::string moved(4, '\0');
  elements.MoveTo(std::as_writable_bytes(std::span(moved)));
  v1::StreamEnd end;
  EXPECT_THAT(elements.CheckEnd(end), StatusIs(StatusCode::kInvalidArgument, HasSubstr("got 4")));
  EXPECT_THAT(elements.Receive(MessageWith("xyz", 3)), StatusIs(StatusCode::kInvalidArgument));

  IncomingElements others(0);
  EXPECT_THAT(others.CheckEnd(end), IsOk());
  end.set_xxh3(1);
  EXPECT_THAT(others.CheckEnd(end), StatusIs(StatusCode::kInvalidArgument, HasSubstr("end.xxh3")));
}

TEST(IncomingElementsTest, ComeInMessagesOfLimitedSize) {
  IncomingElements elements(int64_t{1} << 40);
  EXPECT_THAT(elements.Receive(MessageWith(std::string(kMostDataBytes, 'a'), 1 << 20)), IsOk());
  IncomingElements others(int64_t{1} << 40);
  EXPECT_THAT(others.Receive(MessageWith(std::string(kMostDataBytes + 1, 'a'), 1 << 20)),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("data")));
}

TEST(OutgoingElementsTest, ShareTheirMemoryUntilTheLastIsTaken) {
  const auto owner = std::make_shared<const std::string>(2 * codec::kChunkBytes + 5, 'a');
  OutgoingElements elements;
  EXPECT_TRUE(elements.IsEmpty());
  elements.Put(owner, BytesOf(*owner));
  std::vector<size_t> sizes;
  while (!elements.IsEmpty()) {
    const codec::Payload payload = elements.Next();
    EXPECT_EQ(payload.owner, owner);
    sizes.push_back(payload.size_bytes);
  }
  EXPECT_THAT(sizes, ::testing::ElementsAre(codec::kChunkBytes, codec::kChunkBytes, 5));
  EXPECT_EQ(owner.use_count(), 1);
  EXPECT_EQ(elements.End().xxh3(), ChecksumOf(*owner));
}

}  // namespace
}  // namespace tconv::server
