// Streams of requests by the inference protocol, well-behaved and not.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/client.h>

#include <chrono>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "server/rpc/infer_stream.h"
#include "tests/integration/raw_call.h"
#include "tests/support/access_rules.h"
#include "tests/support/inference_client.h"
#include "tests/support/small_layer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test_server.h"

namespace tconv::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

using inference::ModelInferRequest;
using inference::ModelStreamInferResponse;

constexpr char kPath[] = "/inference.GRPCInferenceService/ModelStreamInfer";
// Until which something must have happened that does not depend on a clock.
constexpr auto kLongTime = 60s;

ModelInferRequest Request(const std::string& model, const std::string& id,
                          const Tensor& input = SmallInput()) {
  ModelInferRequest request = InferRequestOf(model, input);
  request.set_id(id);
  return request;
}

// A stream of an InferenceClient.
class Stream {
 public:
  explicit Stream(InferenceClient& client, std::chrono::system_clock::time_point deadline =
                                               std::chrono::system_clock::now() + kLongTime) {
    client.Authorize(context_);
    context_.set_deadline(deadline);
    stream_ = client.stub().ModelStreamInfer(&context_);
  }

  bool Send(const ModelInferRequest& request) { return stream_->Write(request); }
  void EndRequests() { stream_->WritesDone(); }
  // Empty at the end.
  std::optional<ModelStreamInferResponse> Read() {
    ModelStreamInferResponse response;
    if (!stream_->Read(&response)) return std::nullopt;
    return response;
  }
  grpc::StatusCode Finish() { return stream_->Finish().error_code(); }
  void Cancel() { context_.TryCancel(); }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<ModelInferRequest, ModelStreamInferResponse>> stream_;
};

class InferenceStreamTest : public ::testing::Test {
 protected:
  void SetUp() override { Start({}); }

  // With the reference strategy a slow layer is slow.
  void Start(server::ServerOptions options) {
    options.strategy = "reference";
    server_ = TestServer::Start(options);
    client_ = std::make_unique<Client>(server_->target());
    inference_ = std::make_unique<InferenceClient>(server_->target());
    ASSERT_THAT(client_->Create(SmallLayer("up", 1)), IsOk());
    ASSERT_THAT(client_->Create(SlowLayer("slow")), IsOk());
  }

  // Every call has left the house, and the server computes.
  void ExpectIdleAndWell() {
    const auto end = std::chrono::steady_clock::now() + kLongTime;
    while (server_->app().load().calls > 0 && std::chrono::steady_clock::now() < end) {
      std::this_thread::yield();
    }
    EXPECT_EQ(server_->app().load().calls, 0);
    EXPECT_EQ(server_->app().load().bytes, 0);
    EXPECT_THAT(inference_->Infer(InferRequestOf("up", SmallInput())), IsOk());
  }

  std::unique_ptr<TestServer> server_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<InferenceClient> inference_;
};

TEST_F(InferenceStreamTest, AnswersComeInTheOrderOfTheRequests) {
  Stream stream(*inference_);
  constexpr int kRequests = 40;
  std::thread sender([&] {
    for (int i = 0; i < kRequests; ++i) {
      const bool is_slow = i % 10 == 0;
      EXPECT_TRUE(stream.Send(is_slow ? Request("slow", std::to_string(i), SlowInput())
                                      : Request("up", std::to_string(i))));
    }
    stream.EndRequests();
  });
  for (int i = 0; i < kRequests; ++i) {
    const auto answer = stream.Read();
    ASSERT_TRUE(answer.has_value());
    EXPECT_THAT(answer->error_message(), IsEmpty());
    EXPECT_EQ(answer->infer_response().id(), std::to_string(i));
    EXPECT_EQ(answer->infer_response().model_name(), i % 10 == 0 ? "slow" : "up");
  }
  sender.join();
  EXPECT_FALSE(stream.Read().has_value());
  EXPECT_EQ(stream.Finish(), grpc::StatusCode::OK);
  ExpectIdleAndWell();
}

TEST_F(InferenceStreamTest, ARequestThatFailsIsAnsweredAndTheStreamGoesOn) {
  ModelInferRequest misnamed = Request("up", "2");
  misnamed.mutable_inputs(0)->set_name("x");
  ModelInferRequest outdated = Request("up", "4");
  outdated.set_model_version("9");
  ModelInferRequest late = Request("up", "5");
  (*late.mutable_parameters())["timeout"].set_int64_param(1);
  const struct {
    ModelInferRequest request;
    const char* error;
  } kCases[] = {
      {Request("up", "1"), ""},
      {misnamed, "INVALID_ARGUMENT: inputs[0].name: "},
      {Request("none", "3"), "NOT_FOUND: "},
      {outdated, "NOT_FOUND: "},
      {late, "DEADLINE_EXCEEDED: "},
      {Request("up", "6", Filled({1, 2, 2, 5}, 1)), "INVALID_ARGUMENT: "},
      {Request("up", "7"), ""},
  };
  Stream stream(*inference_);
  for (const auto& test : kCases) ASSERT_TRUE(stream.Send(test.request));
  for (const auto& test : kCases) {
    const auto answer = stream.Read();
    ASSERT_TRUE(answer.has_value());
    EXPECT_THAT(answer->error_message(), StartsWith(test.error));
    EXPECT_EQ(answer->error_message().empty(), std::string(test.error).empty());
    EXPECT_EQ(answer->infer_response().id(), test.request.id());
    EXPECT_EQ(answer->infer_response().model_name(), test.request.model_name());
    EXPECT_EQ(answer->infer_response().outputs_size(), answer->error_message().empty() ? 1 : 0);
  }
  stream.EndRequests();
  EXPECT_EQ(stream.Finish(), grpc::StatusCode::OK);
}

TEST_F(InferenceStreamTest, ARequestMayWaitForTheAnswerBefore) {
  Stream stream(*inference_);
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(stream.Send(Request("up", std::to_string(i))));
    const auto answer = stream.Read();
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->infer_response().id(), std::to_string(i));
  }
  stream.EndRequests();
  EXPECT_EQ(stream.Finish(), grpc::StatusCode::OK);
}

TEST_F(InferenceStreamTest, AStreamWithoutRequestsEndsWell) {
  Stream stream(*inference_);
  stream.EndRequests();
  EXPECT_FALSE(stream.Read().has_value());
  EXPECT_EQ(stream.Finish(), grpc::StatusCode::OK);
}

TEST_F(InferenceStreamTest, AnswersThatNobodyReadsHoldUpTheRequests) {
  Stream stream(*inference_);
  constexpr int kRequests = 300;
  // Too large for the windows of the connection to take many answers.
  const Tensor input = Filled({1, 64, 64, 3}, 1);
  std::thread sender([&] {
    for (int i = 0; i < kRequests; ++i) {
      EXPECT_TRUE(stream.Send(Request("up", std::to_string(i), input)));
    }
    stream.EndRequests();
  });
  // The calls in the house are those that have come and are not delivered.
  const auto most = static_cast<int64_t>(server::kMostStreamedRequests);
  while (server_->app().load().calls < most) std::this_thread::yield();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_LE(server_->app().load().calls, most);
    std::this_thread::yield();
  }
  for (int i = 0; i < kRequests; ++i) {
    ASSERT_LE(server_->app().load().calls, most);
    const auto answer = stream.Read();
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->infer_response().id(), std::to_string(i));
  }
  sender.join();
  EXPECT_EQ(stream.Finish(), grpc::StatusCode::OK);
  ExpectIdleAndWell();
}

TEST_F(InferenceStreamTest, ACancelledStreamTakesItsRequestsAlong) {
  for (int round = 0; round < 5; ++round) {
    Stream stream(*inference_);
    for (int i = 0; i < 8; ++i) ASSERT_TRUE(stream.Send(Request("slow", "", SlowInput())));
    while (server_->app().load().calls == 0) std::this_thread::yield();
    stream.Cancel();
    EXPECT_EQ(stream.Finish(), grpc::StatusCode::CANCELLED);
    ExpectIdleAndWell();
  }
}

TEST_F(InferenceStreamTest, ADeadlineEndsTheStream) {
  Stream stream(*inference_, std::chrono::system_clock::now() + 300ms);
  ASSERT_TRUE(stream.Send(Request("up", "1")));
  EXPECT_TRUE(stream.Read().has_value());
  EXPECT_FALSE(stream.Read().has_value());
  EXPECT_EQ(stream.Finish(), grpc::StatusCode::DEADLINE_EXCEEDED);
  ExpectIdleAndWell();
}

TEST_F(InferenceStreamTest, BytesThatAreNoMessageEndTheStream) {
  RawStream stream(OpenChannel(server_->target()), kPath,
                   {Request("up", "1").SerializeAsString(), "\xff\xff\xff"});
  const grpc::Status end = stream.AwaitEnd();
  EXPECT_EQ(end.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(end.error_message(), HasSubstr("inference.ModelInferRequest"));
  ExpectIdleAndWell();
}

TEST_F(InferenceStreamTest, ACallerThatSaysNothingIsNotWaitedForForever) {
  server::ServerOptions options;
  options.request_arrival = 1s;
  Start(options);
  Stream stream(*inference_);
  ASSERT_TRUE(stream.Send(Request("up", "1")));
  EXPECT_TRUE(stream.Read().has_value());
  EXPECT_FALSE(stream.Read().has_value());
  EXPECT_EQ(stream.Finish(), grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST_F(InferenceStreamTest, RequestsBeyondTheLimitsOfTheServerAreRefusedOneByOne) {
  server::ServerOptions options;
  options.admission.max_bytes = 1000;
  Start(options);
  Stream stream(*inference_);
  ASSERT_TRUE(stream.Send(Request("up", "1", Filled({1, 20, 20, 3}, 1))));
  EXPECT_THAT(stream.Read()->error_message(), StartsWith("RESOURCE_EXHAUSTED: "));
  ASSERT_TRUE(stream.Send(Request("up", "2")));
  EXPECT_THAT(stream.Read()->error_message(), IsEmpty());
  stream.EndRequests();
  EXPECT_EQ(stream.Finish(), grpc::StatusCode::OK);
}

TEST_F(InferenceStreamTest, AnyModelOfTheCallerMayBeNamed) {
  const TempFolder folder;
  WriteFile(folder / "access.json",
            AccessFile(R"("vision": {"layers": ["vision-"]})",
                       TokenEntry("operator", R"("role": "admin")") + "," +
                           TokenEntry("reader", R"("role": "read", "tenant": "vision")")));
  server::ServerOptions options;
  options.access_file = folder / "access.json";
  const auto server = TestServer::Start(options);
  const Client client(server->target(), {.token = "operator"});
  ASSERT_THAT(client.Create(SmallLayer("vision-up", 1)), IsOk());
  ASSERT_THAT(client.Create(SmallLayer("up", 1)), IsOk());
  InferenceClient reader(server->target(), "reader");
  Stream stream(reader);
  ASSERT_TRUE(stream.Send(Request("up", "1")));
  EXPECT_THAT(stream.Read()->error_message(), StartsWith("PERMISSION_DENIED: "));
  ASSERT_TRUE(stream.Send(Request("vision-up", "2")));
  EXPECT_THAT(stream.Read()->error_message(), IsEmpty());
  stream.EndRequests();
  EXPECT_EQ(stream.Finish(), grpc::StatusCode::OK);
}

TEST_F(InferenceStreamTest, AServerThatEndsEndsItsStreams) {
  Stream stream(*inference_);
  ASSERT_TRUE(stream.Send(Request("up", "1")));
  EXPECT_TRUE(stream.Read().has_value());
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(stream.Send(Request("slow", "", SlowInput())));
  server_.reset();
  while (stream.Read().has_value()) {
  }
  EXPECT_NE(stream.Finish(), grpc::StatusCode::OK);
}

// Streams that begin, send, read, give up and end in any order, while weights change and models
// come and go.
TEST_F(InferenceStreamTest, EverythingMayHappenAtOnce) {
  constexpr int kThreads = 4;
  constexpr int kStreams = 25;
  const auto play = [&](unsigned seed) {
    std::minstd_rand random(seed);
    InferenceClient inference(server_->target());
    for (int i = 0; i < kStreams; ++i) {
      Stream stream(inference);
      const auto requests = static_cast<int>(random() % 40);
      const bool cancels = random() % 2 == 0;
      const auto read_until = static_cast<int>(random() % 40);
      std::thread sender([&stream, requests, seed] {
        for (int k = 0; k < requests; ++k) {
          const bool is_slow = (static_cast<unsigned>(k) + seed) % 13 == 0;
          const bool is_sent = stream.Send(is_slow ? Request("slow", "", SlowInput())
                                                   : Request("up", std::to_string(k)));
          if (!is_sent) return;
        }
        stream.EndRequests();
      });
      int reads = 0;
      while ((!cancels || reads < read_until) && stream.Read().has_value()) ++reads;
      if (cancels) stream.Cancel();
      sender.join();
      const grpc::StatusCode end = stream.Finish();
      if (!cancels) {
        EXPECT_EQ(end, grpc::StatusCode::OK);
        EXPECT_EQ(reads, requests);
      }
    }
  };
  std::vector<std::thread> threads;
  for (unsigned seed = 1; seed <= kThreads; ++seed) threads.emplace_back(play, seed);
  std::thread changes([&] {
    for (int i = 0; i < 30; ++i) EXPECT_THAT(client_->SetWeights("up", SmallWeights(1)), IsOk());
  });
  for (std::thread& thread : threads) thread.join();
  changes.join();
  ExpectIdleAndWell();
}

}  // namespace
}  // namespace tconv::testing
