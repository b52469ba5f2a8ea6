// How requests travel: what is copied, what is refused before it has arrived, and
// what callers learn about the time.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <tconv/client.h>
#include <tconv/v1/transposed_conv.grpc.pb.h>

#include <memory>
#include <regex>
#include <sstream>
#include <string>

#include "tests/integration/raw_call.h"
#include "tests/support/small_layer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_server.h"

namespace tconv::testing {
namespace {

using ::testing::MatchesRegex;

constexpr char kForward[] = "/tconv.v1.TransposedConvService/Forward";

// Keeps what the server logs.
class LogCapture {
 public:
  LogCapture() {
    auto logger = std::make_shared<spdlog::logger>(
        "capture", std::make_shared<spdlog::sinks::ostream_sink_mt>(text_));
    logger->set_level(spdlog::level::debug);
    spdlog::set_default_logger(std::move(logger));
  }

  // The number behind `key` in the access line of `method`; -1: none.
  int64_t NumberOf(const std::string& method, const std::string& key) const {
    std::smatch match;
    const std::string text = text_.str();
    const std::regex line("method=" + method + " layer=.*" + key + "=([0-9]+)");
    return std::regex_search(text, match, line) ? std::stoll(match[1]) : -1;
  }

 private:
  std::ostringstream text_;
};

TEST(TransportTest, TensorsAreCopiedOnceInAndNeverOut) {
  constexpr int64_t kHeadBytes = 256;  // names, shapes and the like
  const auto server = TestServer::Start();
  const LogCapture log;
  const Client client(server->target());
  ASSERT_THAT(client.Create(SmallLayer("up", 1)), IsOk());
  const Tensor input = Filled({1, 512, 512, 3}, 1);
  ASSERT_THAT(client.SetWeights("up", SmallWeights(2)), IsOk());
  // Not by the client, which asks for a stream.
  ASSERT_TRUE(RawUnaryCall(OpenChannel(server->target()),
                           "/tconv.v1.TransposedConvService/GetWeights", "\x0a\x02up")
                  .ok());
  ASSERT_THAT(client.Forward("up", input), IsOk());
  for (const char* method : {"Create", "SetWeights", "GetWeights", "Forward"}) {
    EXPECT_GE(log.NumberOf(method, "copied_in"), 0) << method;
    EXPECT_LE(log.NumberOf(method, "copied_in"), log.NumberOf(method, "bytes_in")) << method;
  }
  for (const char* method : {"GetWeights", "Forward"}) {
    EXPECT_LE(log.NumberOf(method, "copied_out"), kHeadBytes) << method;
  }
  EXPECT_GE(log.NumberOf("Forward", "copied_in"), static_cast<int64_t>(input.bytes().size()));
  EXPECT_GE(log.NumberOf("Forward", "bytes_out"), 512 * 512 * 4 * 4 * 4);
}

// A call that says how large its message is and never sends it.
grpc::Status AnnounceOnly(const std::shared_ptr<grpc::Channel>& channel, const std::string& bytes) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.AddMetadata("tconv-message-bytes", bytes);
  grpc::CompletionQueue queue;
  const auto await = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
  };
  const auto call = stub.PrepareCall(&context, kForward, &queue);
  call->StartCall(nullptr);
  await();
  grpc::Status status;
  call->Finish(&status, nullptr);
  await();
  return status;
}

TEST(TransportTest, TooMuchIsRefusedBeforeItIsSent) {
  server::ServerOptions options;
  options.admission.max_bytes = 1 << 20;
  const auto server = TestServer::Start(options);
  const auto channel = OpenChannel(server->target());
  for (const char* bytes : {"1048577", "500000000", "9223372036854775807", "many", "-1"}) {
    EXPECT_EQ(AnnounceOnly(channel, bytes).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED)
        << bytes;
  }
  EXPECT_EQ(RawUnaryCall(channel, kForward, std::string(1 << 21, 'x')).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED)
      << "not announced, and too much all the same";
  EXPECT_EQ(RawUnaryCall(channel, kForward, "\x0a\x02up").error_code(),
            grpc::StatusCode::INVALID_ARGUMENT)
      << "there is room for others";
}

TEST(TransportTest, CallersLearnWhereTheTimeWent) {
  const auto server = TestServer::Start();
  const Client client(server->target());
  ASSERT_THAT(client.Create(SmallLayer("up", 1)), IsOk());
  v1::ForwardRequest request;
  request.set_name("up");
  v1::Tensor& input = *request.mutable_input();
  input.set_dtype(v1::DATA_TYPE_FLOAT32);
  for (const int64_t extent : {1, 1, 1, 3}) input.add_shape(extent);
  input.set_data(std::string(12, '\0'));

  const auto stub = v1::TransposedConvService::NewStub(OpenChannel(server->target()));
  grpc::ClientContext context;
  v1::ForwardResponse response;
  ASSERT_TRUE(stub->Forward(&context, request, &response).ok());
  const auto& metadata = context.GetServerTrailingMetadata();
  const auto found = metadata.find("tconv-timing");
  ASSERT_NE(found, metadata.end());
  EXPECT_THAT(std::string(found->second.data(), found->second.size()),
              MatchesRegex("queue=[0-9]+,plan=[0-9]+,compute=[0-9]+,serialize=[0-9]+"));
}

}  // namespace
}  // namespace tconv::testing
