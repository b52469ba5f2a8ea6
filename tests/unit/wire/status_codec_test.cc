#include "server/wire/status_codec.h"

#include <gmock/gmock.h>
#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>

#include <string>

namespace tconv::server {
namespace {

using ::testing::EndsWith;

TEST(StatusCodecTest, CarriesEveryCodeAndTheMessage) {
  for (int code = 0; code <= 16; ++code) {
    const grpc::Status status = ToGrpcStatus(Status(static_cast<StatusCode>(code), "why"));
    EXPECT_EQ(status.error_code(), code);
    EXPECT_EQ(status.error_message(), code == 0 ? "" : "why");
    EXPECT_EQ(status.error_details(), "");
  }
}

TEST(StatusCodecTest, SendsTheFieldAsBadRequest) {
  const grpc::Status status = ToGrpcStatus(InvalidField("input.shape", "expected 3, got 4"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);

  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  EXPECT_EQ(details.code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(details.message(), "input.shape: expected 3, got 4");
  google::rpc::BadRequest bad_request;
  ASSERT_EQ(details.details_size(), 1);
  ASSERT_TRUE(details.details(0).UnpackTo(&bad_request));
  ASSERT_EQ(bad_request.field_violations_size(), 1);
  EXPECT_EQ(bad_request.field_violations(0).field(), "input.shape");
  EXPECT_EQ(bad_request.field_violations(0).description(), "expected 3, got 4");
}

TEST(StatusCodecTest, SendsTheDelayUntilAnotherTryAsRetryInfo) {
  const grpc::Status status = ToGrpcStatus(
      RetryAfter(std::chrono::milliseconds(1250), Status(StatusCode::kResourceExhausted, "busy")));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(status.error_message(), "busy");

  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  EXPECT_EQ(details.message(), "busy");
  google::rpc::RetryInfo retry_info;
  ASSERT_EQ(details.details_size(), 1);
  ASSERT_TRUE(details.details(0).UnpackTo(&retry_info));
  EXPECT_EQ(retry_info.retry_delay().seconds(), 1);
  EXPECT_EQ(retry_info.retry_delay().nanos(), 250'000'000);
}

TEST(StatusCodecTest, KeepsLongMessagesWithinTheMetadataOfACall) {
  std::string long_text;
  while (long_text.size() < 100'000) long_text += "\u00e9";  // two bytes each
  const grpc::Status status = ToGrpcStatus(InvalidField(long_text, long_text));
  EXPECT_THAT(status.error_message(), EndsWith("\u00e9..."));
  const size_t percent_encoded = 3 * status.error_message().size();
  const size_t base64 = status.error_details().size() * 4 / 3;
  EXPECT_LT(percent_encoded + base64, 8 * 1024U);
}

}  // namespace
}  // namespace tconv::server
