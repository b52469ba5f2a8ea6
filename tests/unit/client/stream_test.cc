// Large tensors as streams, against a service that plays the server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/client.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tests/support/status_matchers.h"
#include "tests/unit/client/fake_service.h"

namespace tconv {
namespace {

using absl::StatusCode;
using tconv::testing::FakeServer;
using tconv::testing::IsOk;
using tconv::testing::IsOkAndHolds;
using tconv::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const ForwardOptions kStreamed{.transfer = Transfer::kStream};

Tensor Counting(Shape shape) {
  std::vector<float> values(static_cast<size_t>(*ElementCount(shape)));
  std::iota(values.begin(), values.end(), 0.0F);
  return *Tensor::FromVector(std::move(shape), std::move(values));
}

class StreamTest : public ::testing::Test {
 protected:
  FakeServer server_;
  const Client client_{server_.target};
};

TEST_F(StreamTest, ForwardCarriesTensorsOfEverySize) {
  for (const int64_t count : {0, 1, 262144, 262145, 3'000'000}) {
    const Tensor input = Counting({1, count, 1});
    const auto result = client_.Forward("echo", input, kStreamed);
    ASSERT_THAT(result, IsOk()) << count;
    EXPECT_EQ(result->output.shape(), input.shape());
    EXPECT_TRUE(result->output.bytes() == input.bytes()) << count;
    EXPECT_EQ(result->timing->compute, std::chrono::microseconds(7));
  }
}

TEST_F(StreamTest, ForwardStreamsLargeInputsByItself) {
  const auto streamed_bytes = static_cast<int64_t>(kStreamedBytes);
  ASSERT_THAT(client_.Forward("echo", Counting({streamed_bytes / 4 - 1})), IsOk());
  EXPECT_EQ(server_.service.seen().data.size(), 0u);
  ASSERT_THAT(client_.Forward("echo", Counting({streamed_bytes / 4})), IsOk());
  EXPECT_EQ(server_.service.seen().data.size(), kStreamedBytes);
}

TEST_F(StreamTest, ForwardAsyncKeepsManyStreamsInFlight) {
  const Tensor input = Counting({1, 700'000, 1});
  std::vector<std::future<absl::StatusOr<ForwardResult>>> results;
  for (int i = 0; i < 8; ++i) results.push_back(client_.ForwardAsync("echo", input, kStreamed));
  for (auto& result : results) {
    const auto answer = result.get();
    ASSERT_THAT(answer, IsOk());
    EXPECT_TRUE(answer->output.bytes() == input.bytes());
  }
}

TEST_F(StreamTest, ReturnsTheLossesThatComeAtTheEnd) {
  const auto result = client_.Forward("echo", Counting({4}),
                                      {.compute_losses = true, .transfer = Transfer::kStream});
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->losses.size(), 1u);
  EXPECT_EQ(result->weights_version, 1);
}

TEST_F(StreamTest, ReordersTheTensorsOfLayersWithChannelsFirst) {
  // [batch, channels, depth, height]
  const Tensor input = Counting({2, 3, 500, 301});
  for (const int calls : {2, 1}) {  // it has to be learned once
    server_.service.calls = 0;
    const auto result = client_.Forward("channels_first", input, kStreamed);
    ASSERT_THAT(result, IsOk());
    EXPECT_TRUE(result->output.bytes() == input.bytes());
    EXPECT_EQ(server_.service.calls, calls);
  }
  std::string expected;
  const std::string_view bytes = input.bytes();
  constexpr size_t kBlock = 301 * sizeof(float);
  for (size_t n = 0; n < 2; ++n) {
    for (size_t d = 0; d < 500; ++d) {
      for (size_t c = 0; c < 3; ++c) {
        expected += bytes.substr(((n * 3 + c) * 500 + d) * kBlock, kBlock);
      }
    }
  }
  EXPECT_TRUE(server_.service.seen().data == expected);
}

TEST_F(StreamTest, SaysWhatIsWrongWithAnAnswer) {
  const struct {
    const char* layer;
    StatusCode code;
    const char* message;
  } kCases[] = {
      {"corrupt", StatusCode::kDataLoss, "the checksum does not fit"},
      {"too_long", StatusCode::kInternal, "1 bytes more than expected"},
      {"endless", StatusCode::kInternal, "has no end"},
      {"no_start", StatusCode::kInternal, "more than expected"},
      {"no_format", StatusCode::kInternal, "expected the data format"},
      {"refused", StatusCode::kInvalidArgument, "input.shape: expected 3 channels"},
  };
  for (const auto& test : kCases) {
    EXPECT_THAT(client_.Forward(test.layer, Counting({2'000'000}), kStreamed),
                StatusIs(test.code, HasSubstr(test.message)))
        << test.layer;
  }
}

TEST_F(StreamTest, EndsAStreamThatIsCancelled) {
  std::stop_source source;
  auto result = client_.ForwardAsync(
      "never", Counting({8'000'000}),
      {.transfer = Transfer::kStream, .call = {.cancellation = source.get_token()}});
  server_.service.entered().wait();
  source.request_stop();
  EXPECT_THAT(result.get(), StatusIs(StatusCode::kCancelled));
}

TEST_F(StreamTest, EndsAStreamAtItsDeadlineThoughTheServerReadsNoMore) {
  std::promise<void> is_over;
  server_.service.BeforeReading([over = is_over.get_future().share()] { over.wait(); });
  const auto result = client_.Forward(
      "echo", Counting({8'000'000}),
      {.transfer = Transfer::kStream, .call = {.timeout = std::chrono::milliseconds(100)}});
  EXPECT_THAT(result, StatusIs(StatusCode::kDeadlineExceeded));
  is_over.set_value();
}

TEST_F(StreamTest, SetWeightsStreamsLargeOnes) {
  const Weights weights{.kernel = Counting({3, 3, 1024, 512}), .bias = Counting({3})};
  ASSERT_THAT(client_.SetWeights("up", weights, 1), IsOkAndHolds(2));
  const v1::SetWeightsStreamStart start = server_.service.seen().set_weights_start;
  EXPECT_EQ(start.name(), "up");
  EXPECT_EQ(start.if_version(), 1);
  EXPECT_THAT(start.kernel().shape(), ElementsAre(3, 3, 1024, 512));
  EXPECT_THAT(start.bias().shape(), ElementsAre(3));
  EXPECT_TRUE(server_.service.seen().data ==
              std::string(weights.kernel.bytes()).append(weights.bias->bytes()));
}

TEST_F(StreamTest, GetWeightsTakesThemApartWhereverMessagesEnd) {
  const auto answer = client_.GetWeights("up");
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->version, 9);
  const Tensor kernel = Counting({2, 300000});
  EXPECT_TRUE(answer->weights.kernel.bytes() == kernel.bytes());
  ASSERT_TRUE(answer->weights.bias.has_value());
  EXPECT_THAT(answer->weights.bias->values<float>(),
              IsOkAndHolds(ElementsAre(600000, 600001, 600002)));
}

TEST_F(StreamTest, GetWeightsTellsNoBiasFromBias) {
  const auto answer = client_.GetWeights("no_bias");
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->weights.bias, std::nullopt);
}

class CallerStreamTest : public StreamTest {
 protected:
  // Counts up in pieces of `piece` bytes.
  InputStream CountingInput(Shape shape, size_t piece) {
    const Tensor tensor = Counting(shape);
    return {.info = tensor.info(),
            .read = [tensor, piece, done = size_t{0}](
                        std::span<std::byte> chunk) mutable -> absl::StatusOr<size_t> {
              const size_t part = std::min({piece, chunk.size(), tensor.bytes().size() - done});
              std::memcpy(chunk.data(), tensor.bytes().data() + done, part);
              done += part;
              return part;
            }};
  }

  OutputStream Collect(std::string& output) {
    return [&output](const TensorInfo& info, std::span<const std::byte> piece) {
      EXPECT_FALSE(info.shape.empty());
      output.append(reinterpret_cast<const char*>(piece.data()), piece.size());
      return absl::OkStatus();
    };
  }
};

TEST_F(CallerStreamTest, CarriesWhatTheCallerReadsToTheCaller) {
  for (const size_t piece : {size_t{1000}, size_t{1} << 30}) {
    std::string output;
    const auto result =
        client_.ForwardStream("echo", CountingInput({1, 700'001, 1}, piece), Collect(output));
    ASSERT_THAT(result, IsOk());
    EXPECT_THAT(result->output.shape, ElementsAre(1, 700'001, 1));
    const Tensor expected = Counting({700'001});
    EXPECT_TRUE(output == expected.bytes());
    EXPECT_TRUE(result->timing.has_value());
  }
}

TEST_F(CallerStreamTest, EndsWithTheErrorOfTheCaller) {
  InputStream input = CountingInput({700'000}, 1000);
  std::string output;
  EXPECT_THAT(client_.ForwardStream("echo", input,
                                    [](const TensorInfo&, std::span<const std::byte>) {
                                      return absl::UnknownError("disk full");
                                    }),
              StatusIs(StatusCode::kUnknown, "disk full"));
  input.read = [](std::span<std::byte>) -> absl::StatusOr<size_t> {
    return absl::NotFoundError("no file");
  };
  EXPECT_THAT(client_.ForwardStream("echo", input, Collect(output)),
              StatusIs(StatusCode::kNotFound, "no file"));
  input.read = [](std::span<std::byte>) -> absl::StatusOr<size_t> { return 0; };
  EXPECT_THAT(client_.ForwardStream("echo", input, Collect(output)),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("input.read: expected 1 to")));
}

}  // namespace
}  // namespace tconv
