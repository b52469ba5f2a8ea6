// What a server tells about itself: health and reflection.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/client.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "tests/integration/raw_call.h"
#include "tests/support/small_layer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_server.h"

namespace tconv::testing {
namespace {

using ::testing::HasSubstr;

using server::ServerOptions;

constexpr char kCheck[] = "/grpc.health.v1.Health/Check";
constexpr char kWatch[] = "/grpc.health.v1.Health/Watch";
constexpr char kReflect[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
constexpr char kGetServers[] = "/grpc.channelz.v1.Channelz/GetServers";

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
  RawStream server_watch(channel_, kWatch, {HealthRequest("")});
  RawStream service_watch(channel_, kWatch, {HealthRequest(kServiceName)});
  EXPECT_EQ(server_watch.Read(), kServing);
  EXPECT_EQ(service_watch.Read(), kServing);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THAT(server_->app().Drain(std::chrono::minutes(10)), IsOk());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::minutes(1));
  EXPECT_EQ(server_watch.Read(), kNotServing);
  EXPECT_EQ(service_watch.Read(), kNotServing);
}

TEST_F(IntrospectionTest, HealthFollowsALayer) {
  const Client client(server_->target());
  RawStream watch(channel_, kWatch, {HealthRequest("tconv.layer/up")});
  EXPECT_EQ(watch.Read(), kServiceUnknown);
  ASSERT_THAT(client.Create({.name = "up", .definition = SmallConfig()}), IsOk());
  EXPECT_EQ(watch.Read(), kNotServing);
  ASSERT_THAT(client.Build("up", {-1, -1, -1, 3}), IsOk());
  EXPECT_EQ(watch.Read(), kServing);
  ASSERT_THAT(client.Delete("up"), IsOk());
  EXPECT_EQ(watch.Read(), kServiceUnknown);
}

TEST_F(IntrospectionTest, ProbesAreAnsweredBesideAndAlsoWhileTheServerEnds) {
  ServerOptions options;
  options.probe_addresses = {"127.0.0.1:0"};
  const auto server = TestServer::Start(std::move(options));
  const Client probe(server->app().probe_addresses().front());
  EXPECT_THAT(probe.CheckHealth(), IsOk());
  EXPECT_THAT(probe.Get("up"), StatusIs(absl::StatusCode::kUnimplemented));
  EXPECT_THAT(server->app().Drain(std::chrono::minutes(10)), IsOk());
  EXPECT_THAT(probe.CheckHealth(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(probe.CheckHealth("tconv.live"), IsOk());
}

// Both may live in one process with servers that have them.
TEST_F(IntrospectionTest, ReflectionAndChannelzCanBeSwitched) {
  const std::string list_services("\x3a\x00", 2);
  const std::string all_servers;
  for (const bool is_on : {true, false}) {
    ServerOptions options;
    options.grpc.has_reflection = options.grpc.has_channelz = is_on;
    const auto server = TestServer::Start(std::move(options));
    const auto channel = OpenChannel(server->target());
    EXPECT_EQ(!RawStream(channel, kReflect, {list_services}).Read().empty(), is_on);
    EXPECT_EQ(RawUnaryCall(channel, kGetServers, all_servers).ok(), is_on);
  }
}

TEST_F(IntrospectionTest, AnOldConnectionIsToBeMadeAnew) {
  ServerOptions options;
  options.grpc.max_connection_age = std::chrono::seconds(1);
  const auto server = TestServer::Start(std::move(options));
  const auto channel = OpenChannel(server->target());
  ASSERT_TRUE(RawUnaryCall(channel, kCheck, HealthRequest("")).ok());
  ASSERT_EQ(channel->GetState(false), GRPC_CHANNEL_READY);
  EXPECT_TRUE(channel->WaitForStateChange(
      GRPC_CHANNEL_READY, std::chrono::system_clock::now() + std::chrono::minutes(1)));
  EXPECT_TRUE(RawUnaryCall(channel, kCheck, HealthRequest("")).ok());
}

TEST_F(IntrospectionTest, ReflectionListsTheService) {
  // ServerReflectionRequest, field 7: list_services.
  RawStream reflection(channel_, kReflect, {std::string("\x3a\x00", 2)});
  EXPECT_THAT(reflection.Read(), HasSubstr(kServiceName));
}

TEST_F(IntrospectionTest, ReflectionHasTheFileOfTheService) {
  // ServerReflectionRequest, field 4: file_containing_symbol.
  const std::string_view service = kServiceName;
  RawStream reflection(channel_, kReflect,
                       {fmt::format("\x22{}{}", static_cast<char>(service.size()), service)});
  EXPECT_THAT(reflection.Read(), HasSubstr("tconv/v1/transposed_conv.proto"));
}

}  // namespace
}  // namespace tconv::testing
