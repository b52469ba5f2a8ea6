// Callers that leave, stall or ask for too much, and servers that end: what a
// call holds is given back, whatever becomes of it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <tconv/client.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <future>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

#include "tests/support/bare_client.h"
#include "tests/support/process_memory.h"
#include "tests/support/server_process.h"
#include "tests/support/small_layer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_server.h"

namespace tconv::testing {
namespace {

using absl::StatusCode;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using ::testing::HasSubstr;

constexpr char kForward[] = "/tconv.v1.TransposedConvService/Forward";
constexpr char kForwardStream[] = "/tconv.v1.TransposedConvService/ForwardStream";
// Long enough for whatever ends by itself.
constexpr std::chrono::seconds kPatience(20);

std::string MessageOf(const std::string& layer, const Tensor& input) {
  v1::ForwardRequest request;
  request.set_name(layer);
  request.mutable_input()->set_dtype(input.dtype());
  request.mutable_input()->mutable_shape()->Assign(input.shape().begin(), input.shape().end());
  request.mutable_input()->set_data(std::string(input.bytes()));
  return Framed(request.SerializeAsString());
}

std::string StreamStartOf(const std::string& layer, const Shape& input) {
  v1::ForwardStreamRequest request;
  request.mutable_start()->set_name(layer);
  request.mutable_start()->mutable_input()->set_dtype(v1::DATA_TYPE_FLOAT32);
  request.mutable_start()->mutable_input()->mutable_shape()->Assign(input.begin(), input.end());
  return Framed(request.SerializeAsString());
}

std::string StreamDataOf(std::string bytes) {
  v1::ForwardStreamRequest request;
  request.set_data(std::move(bytes));
  return Framed(request.SerializeAsString());
}

class BehaviourTest : public ::testing::Test {
 protected:
  void Start(server::ServerOptions options = DefaultOptions()) {
    server_ = TestServer::Start(std::move(options));
    client_ =
        std::make_unique<Client>(server_->target(), ClientOptions{.timeout = milliseconds(0)});
  }

  // One call computes at a time, and takes its time.
  void StartSlow() {
    server::ServerOptions options;
    options.strategy = "reference";
    options.compute_threads = 1;
    options.admission.handler_threads = 1;
    Start(std::move(options));
    ASSERT_THAT(client_->Create(SlowLayer("slow")), IsOk());
    ASSERT_TRUE(AwaitCalls(0));
  }

  // Creates a layer that goes 64 times as far along both axes: of FarInput() it
  // makes more than any socket takes that nobody reads from.
  void CreateFar() {
    v1::LayerConfig config = SmallConfig();
    for (int axis = 0; axis < 2; ++axis) config.set_strides(axis, 64);
    ASSERT_THAT(
        client_->Create({.name = "far", .definition = config, .input_shape = {-1, -1, -1, 4}}),
        IsOk());
    ASSERT_TRUE(AwaitCalls(0));
  }
  static Tensor FarInput() { return Filled({1, 32, 32, 4}, 1); }  // 16 KiB; 64 MiB of output

  // Waits until so many calls are in the house; they may still be of no bytes.
  bool AwaitCalls(int64_t calls) const {
    const auto limit = steady_clock::now() + kPatience;
    while (server_->app().load().calls != calls && steady_clock::now() < limit) {
      std::this_thread::yield();
    }
    return server_->app().load().calls == calls;
  }

  void ExpectAllGivenBack() const {
    EXPECT_TRUE(AwaitCalls(0));
    EXPECT_EQ(server_->app().load().bytes, 0);
  }

  std::unique_ptr<TestServer> server_;
  std::unique_ptr<Client> client_;
};

// ---- Callers that leave.

TEST_F(BehaviourTest, CallsThatWaitLeaveWithTheirCallers) {
  StartSlow();
  auto running =
      client_->ForwardAsync("slow", Filled({16, 64, 64, 32}, 1), {.transfer = Transfer::kMessage});
  ASSERT_TRUE(AwaitCalls(1));
  const int64_t bytes = server_->app().load().bytes;
  const auto expect_alone = [&](const char* after) {
    EXPECT_TRUE(AwaitCalls(1)) << after;
    EXPECT_EQ(server_->app().load().bytes, bytes) << after;
  };
  const auto wait = [&](const CallOptions& options) {
    return client_->ForwardAsync("slow", SlowInput(), {.call = options});
  };

  EXPECT_THAT(wait({.timeout = milliseconds(20)}).get(), StatusIs(StatusCode::kDeadlineExceeded));
  expect_alone("a deadline");

  std::stop_source caller;
  auto cancelled = wait({.cancellation = caller.get_token()});
  EXPECT_TRUE(AwaitCalls(2));
  caller.request_stop();
  EXPECT_THAT(cancelled.get(), StatusIs(StatusCode::kCancelled));
  expect_alone("a cancellation");

  std::optional<BareClient> vanishing(std::in_place, server_->target(), kForward);
  vanishing->Send(MessageOf("slow", Filled({1, 8, 8, 32}, 1)));
  EXPECT_TRUE(AwaitCalls(2));
  vanishing.reset();
  expect_alone("a connection that was lost");

  EXPECT_EQ(running.wait_for(milliseconds(0)), std::future_status::timeout);
  EXPECT_THAT(running.get(), IsOk());
  ExpectAllGivenBack();
}

TEST_F(BehaviourTest, ConnectionsThatAreLostGiveBackWhatTheirCallHeld) {
  Start();
  CreateFar();
  const Tensor input = FarInput();
  const std::string message = MessageOf("far", input);
  const std::string start = StreamStartOf("far", input.shape());
  const std::string data = StreamDataOf(std::string(9999, 'x'));
  const std::string all_data = StreamDataOf(std::string(input.bytes()));
  const struct {
    const char* when;
    const char* method;
    std::string sent;
    // A stream comes into the house with its first part.
    int64_t calls = 1;
  } kCases[] = {
      {"before the request", kForward, ""},
      {"within the request", kForward, message.substr(0, message.size() / 2)},
      {"within the answer", kForward, message},
      {"within the start", kForwardStream, start.substr(0, 7), 0},
      {"after the start", kForwardStream, start},
      {"within a part", kForwardStream, start + data.substr(0, 99)},
      {"within an element", kForwardStream, start + data},
      {"within the streamed answer", kForwardStream, start + all_data},
  };
  for (const auto& test : kCases) {
    SCOPED_TRACE(test.when);
    {
      BareClient client(server_->target(), test.method);
      client.Send(test.sent);
      EXPECT_TRUE(AwaitCalls(test.calls));
    }
    ExpectAllGivenBack();
  }
  EXPECT_THAT(server_->app().Drain(kPatience), IsOk());
}

// ---- Callers that stall.

TEST_F(BehaviourTest, CallersThatNeitherReadNorAnswerAreGivenUp) {
  server::ServerOptions options;
  options.grpc.keepalive_time = milliseconds(200);
  options.grpc.keepalive_timeout = milliseconds(200);
  Start(std::move(options));
  CreateFar();
  const Tensor input = FarInput();
  const struct {
    const char* what;
    const char* method;
    std::string sent;
  } kCases[] = {
      {"half a request", kForward, MessageOf("far", input).substr(0, 9999)},
      {"a large answer", kForward, MessageOf("far", input)},
      {"half a stream", kForwardStream, StreamStartOf("far", input.shape())},
      {"a streamed answer", kForwardStream,
       StreamStartOf("far", input.shape()) + StreamDataOf(std::string(input.bytes()))},
  };
  for (const auto& test : kCases) {
    BareClient client(server_->target(), test.method);
    client.Send(test.sent);
    SCOPED_TRACE(test.what);
    EXPECT_TRUE(AwaitCalls(1));
    ExpectAllGivenBack();
  }
  EXPECT_THAT(client_->CheckHealth(), IsOk());
}

TEST_F(BehaviourTest, CallersThatAnswerAWhileAndThenNoMoreAreGivenUp) {
  server::ServerOptions options;
  options.grpc.keepalive_time = milliseconds(50);
  options.grpc.keepalive_timeout = milliseconds(500);
  Start(std::move(options));
  BareClient client(server_->target(), kForward);
  EXPECT_TRUE(client.AnswerPings(5));
  EXPECT_TRUE(AwaitCalls(1));
  ExpectAllGivenBack();
}

// ---- Signs of life.

TEST(KeepaliveTest, ClientsAskLessOftenThanServersAllow) {
  EXPECT_GE(ClientOptions().keepalive_time, 2 * server::GrpcServerOptions().min_ping_interval);
}

TEST_F(BehaviourTest, ClientsThatAskTooOftenAreSentAway) {
  Start();
  BareClient client(server_->target(), kForward);
  for (int i = 0; i < 10; ++i) client.SendPing("as often");
  EXPECT_THAT(client.ReadToEnd(), HasSubstr("too_many_pings"));
}

TEST_F(BehaviourTest, ClientsThatAskNoMoreOftenThanAllowedMayStay) {
  server::ServerOptions options;
  options.grpc.min_ping_interval = milliseconds(0);
  Start(std::move(options));
  BareClient client(server_->target(), kForward);
  for (int i = 0; i < 10; ++i) client.SendPing("as often");
  client.SendPing("the last");
  EXPECT_TRUE(client.AwaitPong("the last"));
}

// ---- Too much.

TEST(MemoryTest, ALargeCallThatIsRefusedCostsNoMemory) {
  constexpr int64_t kInputBytes = 500'000'000;
  ServerProcess server({"--store=memory:", "--max-queued-bytes=64M"});
  const Client client(server.target(), {.retry = {.attempts = 1}});
  ASSERT_THAT(client.Create(SmallLayer("up", 1)), IsOk());
  ASSERT_THAT(client.Forward("up", SmallInput()), IsOk());
  // Nobody reads them, so that they take no memory here.
  const std::unique_ptr<void, decltype(&std::free)> zeros(std::calloc(kInputBytes, 1), &std::free);
  const Tensor input = *Tensor::FromMemory(
      v1::DATA_TYPE_FLOAT32, {1, 1, kInputBytes / 16, 4},
      {static_cast<const std::byte*>(zeros.get()), size_t{kInputBytes}}, nullptr);
  const int64_t before = MemoryOf(server.pid(), "VmRSS");
  ForgetPeak(server.pid());
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(client.Forward("up", input, {.transfer = Transfer::kMessage}),
                StatusIs(StatusCode::kResourceExhausted));
  }
  EXPECT_LT(MemoryOf(server.pid(), "VmHWM") - before, 40 << 20);
}

// ---- Servers that end.

TEST(DrainStreamTest, AStreamThatTakesTooLongIsCutOff) {
  ServerProcess server({"--store=memory:", "--drain-seconds=0"});
  const Client client(server.target());
  ASSERT_THAT(client.Create(SmallLayer("up", 1)), IsOk());
  const InputStream input = {.info = {v1::DATA_TYPE_FLOAT32, {1, 4096, 1024, 3}},
                             .read = [](std::span<std::byte> chunk) -> absl::StatusOr<size_t> {
                               std::fill(chunk.begin(), chunk.end(), std::byte{0});
                               return chunk.size();
                             }};
  // By its first output the stream is known to be under way.
  std::optional<int> code;
  const auto output = [&](const TensorInfo&, std::span<const std::byte>) {
    if (!code.has_value()) {
      server.Signal(SIGTERM);
      code = server.Wait();
    }
    return absl::OkStatus();
  };
  EXPECT_THAT(client.ForwardStream("up", input, output), StatusIs(StatusCode::kUnavailable));
  EXPECT_EQ(code, 1) << server.log();
}

}  // namespace
}  // namespace tconv::testing
