// What a server tells about itself: health and reflection.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/client.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "tests/integration/raw_call.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_server.h"

namespace tconv::testing {
namespace {

using ::testing::HasSubstr;

constexpr char kWatch[] = "/grpc.health.v1.Health/Watch";
constexpr char kReflect[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

class IntrospectionTest : public ::testing::Test {
 protected:
  const std::unique_ptr<TestServer> server_ = TestServer::Start();
  const std::shared_ptr<grpc::Channel> channel_ = OpenChannel(server_->target());
};

TEST_F(IntrospectionTest, HealthKnowsTheServerAndTheService) {
  const Client client(server_->target());
  EXPECT_THAT(client.CheckHealth(), IsOk());
  EXPECT_THAT(client.CheckHealth(kServiceName), IsOk());
  EXPECT_THAT(client.CheckHealth("tconv.v1.NoSuchService"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(IntrospectionTest, WatchersHearThatTheServerDrainsAndDoNotHoldItUp) {
  RawStream server_watch(channel_, kWatch, HealthRequest(""));
  RawStream service_watch(channel_, kWatch, HealthRequest(kServiceName));
  EXPECT_EQ(server_watch.Read(), kServing);
  EXPECT_EQ(service_watch.Read(), kServing);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THAT(server_->app().Drain(std::chrono::minutes(10)), IsOk());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::minutes(1));
  EXPECT_EQ(server_watch.Read(), kNotServing);
  EXPECT_EQ(service_watch.Read(), kNotServing);
}

TEST_F(IntrospectionTest, ReflectionListsTheService) {
  // ServerReflectionRequest, field 7: list_services.
  RawStream reflection(channel_, kReflect, std::string("\x3a\x00", 2));
  EXPECT_THAT(reflection.Read(), HasSubstr(kServiceName));
}

TEST_F(IntrospectionTest, ReflectionHasTheFileOfTheService) {
  // ServerReflectionRequest, field 4: file_containing_symbol.
  const std::string_view service = kServiceName;
  RawStream reflection(channel_, kReflect,
                       fmt::format("\x22{}{}", static_cast<char>(service.size()), service));
  EXPECT_THAT(reflection.Read(), HasSubstr("tconv/v1/transposed_conv.proto"));
}

}  // namespace
}  // namespace tconv::testing
