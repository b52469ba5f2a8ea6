#include "server/rpc/credentials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

TEST(ExposureTest, LoopbackAndSocketsAreLocalAndNothingElseIs) {
  for (const char* local : {"127.0.0.1:8500", "127.1.2.3:0", "localhost:1", "[::1]:8500",
                            "unix:/run/tconv.sock", "unix:///run/tconv.sock"}) {
    EXPECT_TRUE(IsLocalAddress(local)) << local;
  }
  for (const char* far : {"0.0.0.0:8500", "[::]:8500", "10.0.0.1:1", "tconv:8500", "127.evil.org:1",
                          "localhost.evil.org:1", ":8500", ""}) {
    EXPECT_FALSE(IsLocalAddress(far)) << far;
  }
}

TEST(ExposureTest, BeyondThatItTakesTlsOrAWordOfTheOperator) {
  const TlsFiles none;
  const TlsFiles tls{"/cert", "/key", ""};
  EXPECT_THAT(CheckExposure({"127.0.0.1:1", "unix:/x"}, none, false), IsOk());
  EXPECT_THAT(CheckExposure({"127.0.0.1:1", "0.0.0.0:2"}, none, false),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("0.0.0.0:2")));
  EXPECT_THAT(CheckExposure({"0.0.0.0:2"}, none, true), IsOk());
  EXPECT_THAT(CheckExposure({"0.0.0.0:2"}, tls, false), IsOk());
}

TEST(ExposureTest, HalfOfTlsIsAnError) {
  EXPECT_THAT(CheckExposure({}, {"/cert", "", ""}, true),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("tls-key")));
  EXPECT_THAT(CheckExposure({}, {"", "/key", ""}, true), StatusIs(StatusCode::kInvalidArgument));
  EXPECT_THAT(CheckExposure({}, {"", "", "/ca"}, true),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("tls-client-ca")));
}

}  // namespace
}  // namespace tconv::server
