// The real connection against a service of the test's, over a socket.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <tconv/client.h>
#include <unistd.h>

#include <cstdint>
#include <future>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tests/support/status_matchers.h"
#include "tests/unit/client/fake_service.h"

namespace tconv {
namespace {

using std::chrono::milliseconds;
using tconv::testing::FakeServer;
using tconv::testing::IsOk;
using tconv::testing::IsOkAndHolds;
using tconv::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;

class GrpcConnectionTest : public ::testing::Test {
 protected:
  FakeServer server_;
};

Tensor Ones(int64_t count) {
  return *Tensor::FromValues<float>({count}, std::vector<float>(static_cast<size_t>(count), 1.0f));
}

TEST_F(GrpcConnectionTest, CarriesMessagesBeyondTheLimitOfGrpc) {
  constexpr int64_t kCount = 4 << 20;
  const auto result =
      Client(server_.target).Forward("echo", Ones(kCount), {.transfer = Transfer::kMessage});
  ASSERT_THAT(result, IsOk());
  EXPECT_THAT(result->output.shape(), ElementsAre(kCount));
}

TEST_F(GrpcConnectionTest, ForwardReturnsOutputVersionLossesAndTiming) {
  const Client client(server_.target);
  const Tensor input = *Tensor::FromValues<double>({1, 3}, {1, 2, 3});
  const auto result = client.Forward("echo", input, {.compute_losses = true});
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->output.dtype(), v1::DATA_TYPE_FLOAT64);
  EXPECT_THAT(result->output.shape(), ElementsAre(1, 3));
  EXPECT_EQ(result->output.bytes(), input.bytes());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(result->output.bytes().data()) % 64, 0u);
  EXPECT_EQ(result->weights_version, 1);
  EXPECT_EQ(result->losses.size(), 1u);
  ASSERT_TRUE(result->timing.has_value());
  EXPECT_EQ(result->timing->compute, std::chrono::microseconds(3));
}

TEST_F(GrpcConnectionTest, RefusesAnOutputThatDoesNotFitItsShape) {
  EXPECT_THAT(
      Client(server_.target).Forward("misshapen", Ones(3)),
      StatusIs(absl::StatusCode::kInternal, HasSubstr("answer of the server: output.data")));
}

TEST_F(GrpcConnectionTest, AnnouncesTheSizeOfLargeMessages) {
  const Client client(server_.target);
  ASSERT_THAT(client.Forward("echo", Ones(1000)), IsOk());
  EXPECT_EQ(server_.service.seen().announced_bytes, "");
  ASSERT_THAT(client.Forward("echo", Ones(100000)), IsOk());
  EXPECT_GE(std::stoi(server_.service.seen().announced_bytes), 400000);
  EXPECT_LT(std::stoi(server_.service.seen().announced_bytes), 400100);
}

TEST_F(GrpcConnectionTest, NamesTheLayerForBalancers) {
  const Client client(server_.target);
  ASSERT_THAT(client.Forward("up-1 \xc3\xa9", Ones(1)), IsOk());
  EXPECT_EQ(server_.service.seen().layer, "up-1%20%c3%a9");
  ASSERT_THAT(client.Forward(std::string(300, 'x'), Ones(1)), IsOk());
  EXPECT_EQ(server_.service.seen().layer, "");
}

TEST_F(GrpcConnectionTest, CreateSendsShapeAndWeights) {
  const auto layer =
      Client(server_.target)
          .Create({.name = "up1",
                   .definition = KerasJson{"{}"},
                   .input_shape = {-1, -1, 1},
                   .weights = Weights{.kernel = *Tensor::FromValues<float>({1, 1, 1}, {2}),
                                      .bias = *Tensor::FromValues<float>({1}, {3})}});
  ASSERT_THAT(layer, IsOk());
  EXPECT_EQ(layer->name(), "up1");
  const v1::CreateRequest request = server_.service.seen().create_request;
  EXPECT_EQ(request.keras_json(), "{}");
  EXPECT_THAT(request.input_shape(), ElementsAre(-1, -1, 1));
  EXPECT_THAT(request.weights().kernel().shape(), ElementsAre(1, 1, 1));
  EXPECT_EQ(request.weights().kernel().data(), std::string("\x00\x00\x00\x40", 4));
  EXPECT_EQ(request.weights().bias().data(), std::string("\x00\x00\x40\x40", 4));
}

TEST_F(GrpcConnectionTest, CreateSendsATypedConfigurationWithoutWeights) {
  v1::LayerConfig config;
  config.set_filters(7);
  ASSERT_THAT(Client(server_.target).Create({.definition = config}), IsOk());
  EXPECT_EQ(server_.service.seen().create_request.config().filters(), 7);
  EXPECT_FALSE(server_.service.seen().create_request.has_weights());
}

TEST_F(GrpcConnectionTest, LetsGoOfTheMemoryOfACallerWhenTheCallHasEnded) {
  const std::vector<float> values(1 << 20, 1);
  const auto owner = std::shared_ptr<const void>(values.data(), [](const void*) {});
  const Client client(server_.target);
  for (const Transfer transfer : {Transfer::kMessage, Transfer::kStream}) {
    const Tensor input = *Tensor::FromMemory(v1::DATA_TYPE_FLOAT32, {1 << 20},
                                             std::as_bytes(std::span(values)), owner);
    ASSERT_THAT(client.Forward("echo", input, {.transfer = transfer}), IsOk());
    EXPECT_EQ(owner.use_count(), 2);
  }
}

TEST_F(GrpcConnectionTest, TellsWhichFieldTheServerRefused) {
  const auto result = Client(server_.target).Forward("refused", Ones(1));
  EXPECT_THAT(result,
              StatusIs(absl::StatusCode::kInvalidArgument, "input.shape: expected 3 channels"));
  EXPECT_THAT(FieldViolations(result.status()),
              ElementsAre(AllOf(Field(&FieldViolation::field, "input.shape"),
                                Field(&FieldViolation::description, "expected 3 channels"))));
}

TEST_F(GrpcConnectionTest, GivesUpAfterTheTimeoutOfTheClient) {
  const Client client(server_.target, {.timeout = milliseconds(50)});
  EXPECT_THAT(client.Forward("never", Ones(1)), StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST_F(GrpcConnectionTest, PrefersTheTimeoutOfTheCall) {
  const Client client(server_.target, {.timeout = std::chrono::hours(1)});
  const ForwardOptions options{.call = {.timeout = milliseconds(50)}};
  EXPECT_THAT(client.Forward("never", Ones(1), options),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST_F(GrpcConnectionTest, TakesTheLongestTimeoutThereIs) {
  const Client client(server_.target, {.timeout = milliseconds::max()});
  EXPECT_THAT(client.Forward("echo", Ones(1)), IsOk());
}

TEST_F(GrpcConnectionTest, CancelsACallThatRuns) {
  std::stop_source source;
  auto result = Client(server_.target)
                    .ForwardAsync("never", Ones(1), {.call = {.cancellation = source.get_token()}});
  server_.service.entered().wait();
  source.request_stop();
  EXPECT_THAT(result.get(), StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(GrpcConnectionTest, CancelsACallBeforeItStarts) {
  std::stop_source source;
  source.request_stop();
  EXPECT_THAT(Client(server_.target).CheckHealth("", {.cancellation = source.get_token()}),
              StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(GrpcConnectionTest, KeepsManyCallsInFlight) {
  const Client client(server_.target);
  std::vector<std::future<absl::StatusOr<ForwardResult>>> results;
  for (int64_t i = 0; i < 200; ++i) results.push_back(client.ForwardAsync("echo", Ones(i)));
  for (size_t i = 0; i < results.size(); ++i) {
    const auto result = results[i].get();
    ASSERT_THAT(result, IsOk());
    EXPECT_THAT(result->output.shape(), ElementsAre(i));
  }
}

TEST_F(GrpcConnectionTest, AsksTheHealthService) {
  const Client client(server_.target);
  EXPECT_THAT(client.CheckHealth(), IsOk());
  EXPECT_THAT(client.CheckHealth("no.such.Service"), StatusIs(absl::StatusCode::kNotFound));
  server_.server->GetHealthCheckService()->SetServingStatus(false);
  EXPECT_THAT(client.CheckHealth(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("NOT_SERVING")));
}

TEST_F(GrpcConnectionTest, UsesAChannelOfTheCaller) {
  const Client client(
      ConnectOver(grpc::CreateChannel(server_.target, grpc::InsecureChannelCredentials())));
  EXPECT_THAT(client.Forward("echo", Ones(2)), IsOk());
}

TEST(GrpcConnectionWithoutServerTest, NamesTheServerThatCannotBeReached) {
  const Client client("unix:/nonexistent/tconv.socket");
  EXPECT_THAT(client.Forward("echo", Ones(1)),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("cannot reach unix:/nonexistent/tconv.socket: ")));
}

TEST(GrpcConnectionWithoutServerTest, NamesTheServerThatDoesNotAnswerInTime) {
  // The kernel accepts the connection, and nobody ever speaks on it.
  const int silent = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* generic_address = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(bind(silent, generic_address, size), 0);
  ASSERT_EQ(listen(silent, 1), 0);
  ASSERT_EQ(getsockname(silent, generic_address, &size), 0);
  const std::string target = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));

  const Client client(target, {.timeout = milliseconds(100)});
  EXPECT_THAT(client.CheckHealth(), StatusIs(absl::StatusCode::kDeadlineExceeded,
                                             HasSubstr("cannot reach " + target + ": ")));
  close(silent);
}

}  // namespace
}  // namespace tconv
