#include "client/src/bearer.h"

#include <gmock/gmock.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace tconv {
namespace {

using absl::StatusCode;
using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::Not;
using testing::StatusIs;

TEST(BearerTest, SocketsAndLoopbackAreLocalAndNothingElseIs) {
  for (const char* local : {"unix:/run/tconv.sock", "127.0.0.1:8500", "localhost:8500", "localhost",
                            "[::1]:8500", "dns:///localhost:8500", "ipv4:127.0.0.1:8500"}) {
    EXPECT_TRUE(IsLocalTarget(local)) << local;
  }
  for (const char* far : {"tconv:8500", "10.0.0.1:8500", "dns:///tconv:8500", "127.evil.org:1",
                          "localhost.evil.org:1", "ipv4:127.0.0.1:1,10.0.0.1:1", "[::]:1", ""}) {
    EXPECT_FALSE(IsLocalTarget(far)) << far;
  }
}

TEST(BearerTest, ATokenNeedsTlsOrAWordBeyondThisMachine) {
  const char* far = "tconv:8500";
  EXPECT_THAT(CheckTokenIsSafe(far, {}), IsOk());
  EXPECT_THAT(CheckTokenIsSafe(far, {.token = "t"}),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr(far)));
  EXPECT_THAT(CheckTokenIsSafe(far, {.token_file = "/f"}),
              StatusIs(StatusCode::kFailedPrecondition));
  EXPECT_THAT(CheckTokenIsSafe(far, {.token = "t", .allow_plaintext_token = true}), IsOk());
  EXPECT_THAT(CheckTokenIsSafe(far, {.credentials = grpc::SslCredentials({}), .token = "t"}),
              IsOk());
  EXPECT_THAT(CheckTokenIsSafe("127.0.0.1:1", {.token = "t"}), IsOk());
}

absl::Status SignWith(const ClientOptions& options) {
  grpc::ClientContext context;
  return Bearer(options, absl::OkStatus()).Sign(context);
}

TEST(BearerTest, WhatIsNoTokenIsNotSentAndNotRepeated) {
  for (const char* wrong : {"two words", "line\nbreak", "\x01", "\xc3\xa4"}) {
    EXPECT_THAT(SignWith({.token = wrong}),
                StatusIs(StatusCode::kInvalidArgument, Not(HasSubstr(wrong))));
  }
  EXPECT_THAT(SignWith({.token = "token"}), IsOk());
  EXPECT_THAT(SignWith({}), IsOk());
}

TEST(BearerTest, AFileHoldsOneTokenAndMayEndItsLine) {
  const testing::TempFolder folder;
  const ClientOptions options{.token_file = folder / "token"};
  EXPECT_THAT(SignWith(options), StatusIs(StatusCode::kInvalidArgument, HasSubstr("token: ")));
  const struct {
    const char* text;
    bool is_token;
  } kCases[] = {{"token", true}, {"token\n", true},      {"token\r\n", true}, {"", false},
                {"\n", false},   {"two words\n", false}, {"a\nb", false}};
  for (const auto& test : kCases) {
    testing::WriteFile(options.token_file, test.text);
    EXPECT_EQ(SignWith(options).ok(), test.is_token) << test.text;
  }
}

}  // namespace
}  // namespace tconv
