// Tensors that pass through the server in parts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/v1/transposed_conv.grpc.pb.h>

#include <chrono>
#include <functional>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/integration/streaming_fixture.h"

namespace tconv::testing {
namespace {

using grpc::StatusCode;
using ::testing::HasSubstr;

// What came of a stream.
struct Streamed {
  grpc::Status status;
  std::optional<v1::ForwardStreamResult> start;
  std::string data;
  std::optional<v1::ForwardStreamEnd> end;
};

class StreamingTest : public StreamingFixture {
 protected:
  v1::ForwardResponse Forward(const std::string& name, const std::vector<int64_t>& shape,
                              const std::string& data) {
    v1::ForwardRequest request;
    request.set_name(name);
    SetHeader(request.mutable_input(), shape);
    request.mutable_input()->set_data(data);
    request.set_compute_losses(true);
    grpc::ClientContext context;
    v1::ForwardResponse response;
    const grpc::Status status = stub_->Forward(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  static v1::ForwardStreamRequest StartOf(const std::string& name,
                                          const std::vector<int64_t>& shape) {
    v1::ForwardStreamRequest request;
    request.mutable_start()->set_name(name);
    SetHeader(request.mutable_start()->mutable_input(), shape);
    request.mutable_start()->set_compute_losses(true);
    return request;
  }

  static v1::ForwardStreamRequest DataOf(std::string bytes) {
    v1::ForwardStreamRequest request;
    request.set_data(std::move(bytes));
    return request;
  }

  static v1::ForwardStreamRequest EndOf(std::optional<uint64_t> checksum = {}) {
    v1::ForwardStreamRequest request;
    request.mutable_end();
    if (checksum.has_value()) request.mutable_end()->set_xxh3(*checksum);
    return request;
  }

  // A whole stream, in pieces of so many bytes.
  static std::vector<v1::ForwardStreamRequest> PartsOf(const std::string& name,
                                                       const std::vector<int64_t>& shape,
                                                       const std::string& data,
                                                       size_t piece_bytes) {
    std::vector<v1::ForwardStreamRequest> parts = {StartOf(name, shape)};
    for (size_t begin = 0; begin < data.size(); begin += piece_bytes) {
      parts.push_back(DataOf(data.substr(begin, piece_bytes)));
    }
    parts.push_back(EndOf(ChecksumOf(data)));
    return parts;
  }

  // Sends the parts while it reads the answer.
  Streamed Stream(const std::vector<v1::ForwardStreamRequest>& parts) {
    grpc::ClientContext context;
    const auto stream = stub_->ForwardStream(&context);
    std::thread sender([&] {
      for (const auto& part : parts) {
        if (!stream->Write(part)) return;
      }
      stream->WritesDone();
    });
    Streamed streamed;
    v1::ForwardStreamResponse response;
    while (stream->Read(&response)) {
      if (response.has_start()) streamed.start = response.start();
      if (response.has_data()) streamed.data += response.data();
      if (response.has_end()) streamed.end = response.end();
    }
    sender.join();
    streamed.status = stream->Finish();
    return streamed;
  }
};

// [1, c, h, w] as [1, h, c, w], or the way back.
std::string SwapOuterAxes(const std::string& data, int64_t a, int64_t b) {
  const size_t block = data.size() / static_cast<size_t>(a * b);
  std::string swapped;
  for (int64_t j = 0; j < b; ++j) {
    for (int64_t i = 0; i < a; ++i) {
      swapped += data.substr(static_cast<size_t>(i * b + j) * block, block);
    }
  }
  return swapped;
}

TEST_F(StreamingTest, GivesTheBitsOfForward) {
  Start();
  Create("l", [](v1::LayerConfig& config) { config.mutable_activation()->set_name("tanh"); });
  const std::vector<int64_t> shape = {3, 50, 9, 3};
  const std::string input = Elements(CountOf(shape));
  const v1::ForwardResponse expected = Forward("l", shape, input);
  const Streamed streamed = Stream(PartsOf("l", shape, input, 1000));
  ASSERT_TRUE(streamed.status.ok()) << streamed.status.error_message();
  ASSERT_TRUE(streamed.start.has_value());
  EXPECT_EQ(streamed.start->output().dtype(), expected.output().dtype());
  EXPECT_THAT(streamed.start->output().shape(),
              ::testing::ElementsAreArray(expected.output().shape()));
  EXPECT_EQ(streamed.start->weights_version(), 1);
  EXPECT_TRUE(streamed.data == expected.output().data());
  ASSERT_TRUE(streamed.end.has_value());
  EXPECT_EQ(streamed.end->end().xxh3(), ChecksumOf(streamed.data));
}

TEST_F(StreamingTest, TakesChannelsFirstRowByRow) {
  Start();
  Create("l",
         [](v1::LayerConfig& config) { config.set_data_format(v1::DATA_FORMAT_CHANNELS_FIRST); });
  const std::vector<int64_t> shape = {1, 3, 50, 9};
  const std::string input = Elements(CountOf(shape));
  const v1::ForwardResponse expected = Forward("l", shape, input);
  const Streamed streamed = Stream(PartsOf("l", shape, SwapOuterAxes(input, 3, 50), 1000));
  ASSERT_TRUE(streamed.status.ok()) << streamed.status.error_message();
  EXPECT_TRUE(SwapOuterAxes(streamed.data, 100, 4) == expected.output().data());
}

TEST_F(StreamingTest, TakesSingleBytes) {
  Start();
  Create("l");
  const std::vector<int64_t> shape = {1, 5, 3, 3};
  const std::string input = Elements(CountOf(shape));
  const Streamed streamed = Stream(PartsOf("l", shape, input, 1));
  ASSERT_TRUE(streamed.status.ok()) << streamed.status.error_message();
  EXPECT_TRUE(streamed.data == Forward("l", shape, input).output().data());
}

TEST_F(StreamingTest, AnswersNoImagesWithNone) {
  Start();
  Create("l");
  const Streamed streamed = Stream(PartsOf("l", {0, 5, 3, 3}, "", 1));
  ASSERT_TRUE(streamed.status.ok()) << streamed.status.error_message();
  EXPECT_EQ(streamed.data, "");
  ASSERT_TRUE(streamed.end.has_value());
  EXPECT_EQ(streamed.end->end().xxh3(), ChecksumOf(""));
}

TEST_F(StreamingTest, TellsTheLossesOfForward) {
  Start();
  Create("l", [](v1::LayerConfig& config) {
    config.mutable_activity_regularizer()->set_name("L2");
    config.mutable_kernel_regularizer()->set_name("L1");
  });
  const std::vector<int64_t> shape = {2, 50, 9, 3};
  const std::string input = Elements(CountOf(shape));
  const v1::ForwardResponse expected = Forward("l", shape, input);
  const Streamed streamed = Stream(PartsOf("l", shape, input, 1000));
  ASSERT_TRUE(streamed.end.has_value()) << streamed.status.error_message();
  ASSERT_EQ(streamed.end->losses_size(), 2);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(streamed.end->losses(i).source(), expected.losses(i).source());
    EXPECT_EQ(streamed.end->losses(i).value(), expected.losses(i).value());
  }
}

TEST_F(StreamingTest, PassesMoreThanItMayHoldAndMoreThanForwardMayAnswer) {
  server::ServerOptions options;
  options.admission.max_bytes = 6 << 20;
  options.host.max_output_bytes = 1 << 20;
  options.host.max_stream_bytes = 1 << 20;
  Start(options);
  Create("v");
  const std::vector<int64_t> shape = {4, 256, 256, 3};
  const std::string input = Elements(CountOf(shape));
  const Streamed streamed = Stream(PartsOf("v", shape, input, 1 << 20));
  ASSERT_TRUE(streamed.status.ok()) << streamed.status.error_message();
  EXPECT_EQ(streamed.data.size(), input.size() * 4 / 3 * 4);
  EXPECT_EQ(streamed.end->end().xxh3(), ChecksumOf(streamed.data));
}

struct BadStream {
  const char* name;
  std::vector<v1::ForwardStreamRequest> parts;
  StatusCode code;
  const char* message;
};

TEST_F(StreamingTest, RefusesStreamsThatAreNot) {
  class Parts : public StreamingTest {
   public:
    using StreamingTest::DataOf;
    using StreamingTest::EndOf;
    using StreamingTest::StartOf;
    void TestBody() override {}
  };
  Start();
  Create("l");
  const std::vector<int64_t> shape = {1, 5, 3, 3};
  const std::string input = Elements(CountOf(shape));
  const auto start = Parts::StartOf("l", shape);
  const auto data = Parts::DataOf(input);
  const auto end = Parts::EndOf();
  const std::vector<BadStream> kBad = {
      {"nothing", {}, StatusCode::INVALID_ARGUMENT, "end"},
      {"no start", {data}, StatusCode::INVALID_ARGUMENT, "start"},
      {"end first", {end}, StatusCode::INVALID_ARGUMENT, "start"},
      {"two starts", {start, start}, StatusCode::INVALID_ARGUMENT, "part"},
      {"an empty part", {start, {}}, StatusCode::INVALID_ARGUMENT, "part"},
      {"no data", {start, end}, StatusCode::INVALID_ARGUMENT, "data"},
      {"too little data",
       {start, Parts::DataOf("1234"), end},
       StatusCode::INVALID_ARGUMENT,
       "data"},
      {"too much data",
       {start, data, Parts::DataOf("1"), end},
       StatusCode::INVALID_ARGUMENT,
       "data"},
      {"no end", {start, data}, StatusCode::INVALID_ARGUMENT, "end"},
      {"a wrong checksum",
       {start, data, Parts::EndOf(7)},
       StatusCode::INVALID_ARGUMENT,
       "end.xxh3"},
      {"an unknown layer", {Parts::StartOf("m", shape), data, end}, StatusCode::NOT_FOUND, "m"},
      {"wrong channels",
       {Parts::StartOf("l", {1, 5, 3, 2})},
       StatusCode::INVALID_ARGUMENT,
       "start.input.shape"},
  };
  for (const BadStream& bad : kBad) {
    const Streamed streamed = Stream(bad.parts);
    EXPECT_EQ(streamed.status.error_code(), bad.code)
        << bad.name << ": " << streamed.status.error_message();
    EXPECT_THAT(streamed.status.error_message(), HasSubstr(bad.message)) << bad.name;
    EXPECT_FALSE(streamed.end.has_value()) << bad.name;
  }
  EXPECT_TRUE(Stream({start, data, end}).status.ok());
  EXPECT_TRUE(IsIdleSoon());
}

TEST_F(StreamingTest, RefusesMessagesOfMoreThanFourMebibytes) {
  server::ServerOptions options;
  options.host.slab_bytes = 1 << 20;
  Start(options);
  Create("l");
  const std::vector<int64_t> shape = {1, 1024, 1024, 3};
  const std::string input = Elements(CountOf(shape));
  const Streamed refused = Stream(PartsOf("l", shape, input, (4 << 20) + 1));
  EXPECT_EQ(refused.status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(refused.status.error_message(), HasSubstr("data"));
  EXPECT_TRUE(Stream(PartsOf("l", shape, input, 4 << 20)).status.ok());
}

TEST_F(StreamingTest, RefusesWhatDoesNotFit) {
  server::ServerOptions options;
  options.host.max_stream_bytes = 100;
  Start(options);
  Create("l");
  const Streamed streamed = Stream({StartOf("l", {1, 5, 3, 3})});
  EXPECT_EQ(streamed.status.error_code(), StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(StreamingTest, RefusesWhenOtherCallsHoldTheMemory) {
  server::ServerOptions options;
  options.admission.max_bytes = 1 << 20;  // less than a message of data
  Start(options);
  Create("l");
  const Streamed streamed = Stream({StartOf("l", {1, 5, 3, 3})});
  EXPECT_EQ(streamed.status.error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(IsIdleSoon());
}

TEST_F(StreamingTest, ForgetsClientsThatVanish) {
  Start();
  Create("l");
  const std::vector<int64_t> shape = {1, 500, 9, 3};
  const std::string input = Elements(CountOf(shape));
  for (int parts = 1; parts < 8; ++parts) {
    grpc::ClientContext context;
    const auto stream = stub_->ForwardStream(&context);
    stream->Write(StartOf("l", shape));
    v1::ForwardStreamResponse response;
    ASSERT_TRUE(stream->Read(&response));
    for (int i = 1; i < parts; ++i) stream->Write(DataOf(input.substr(0, 4000)));
    context.TryCancel();
    EXPECT_EQ(stream->Finish().error_code(), StatusCode::CANCELLED);
  }
  EXPECT_TRUE(IsIdleSoon());
}

TEST_F(StreamingTest, EndsAtTheDeadline) {
  Start();
  Create("l");
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(100));
  const auto stream = stub_->ForwardStream(&context);
  stream->Write(StartOf("l", {1, 500, 9, 3}));
  v1::ForwardStreamResponse response;
  while (stream->Read(&response)) {
  }
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(IsIdleSoon());
}

TEST_F(StreamingTest, ReadsNoFurtherThanItsAnswerIsTaken) {
  constexpr int kImages = 1000;  // 49 MB, and 262 MB of output
  Start();
  Create("l");
  const std::string image = Elements(64 * 64 * 3);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(1));
  const auto stream = stub_->ForwardStream(&context);
  ASSERT_TRUE(stream->Write(StartOf("l", {kImages, 64, 64, 3})));
  int images_sent = 0;
  while (images_sent < kImages && stream->Write(DataOf(image))) ++images_sent;
  EXPECT_LT(images_sent, kImages);
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(IsIdleSoon());
}

TEST_F(StreamingTest, FinishesStreamsWhenItIsToldToStop) {
  Start();
  Create("l");
  const std::vector<int64_t> shape = {1, 500, 9, 3};
  const std::string input = Elements(CountOf(shape));
  grpc::ClientContext context;
  const auto stream = stub_->ForwardStream(&context);
  ASSERT_TRUE(stream->Write(StartOf("l", shape)));
  v1::ForwardStreamResponse response;
  ASSERT_TRUE(stream->Read(&response));
  auto drained = std::async(std::launch::async, [&] { return IsIdleSoon(); });
  std::thread sender([&] {
    stream->Write(DataOf(input));
    stream->Write(EndOf());
    stream->WritesDone();
  });
  while (stream->Read(&response)) {
  }
  sender.join();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_TRUE(drained.get());
}

}  // namespace
}  // namespace tconv::testing
