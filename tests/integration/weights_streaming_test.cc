// Weights that travel in parts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/v1/transposed_conv.grpc.pb.h>

#include <optional>
#include <string>
#include <vector>

#include "tests/integration/streaming_fixture.h"

namespace tconv::testing {
namespace {

using grpc::StatusCode;
using ::testing::HasSubstr;

struct StreamedWeights {
  grpc::Status status;
  v1::GetWeightsStreamStart start;
  std::string data;
  std::optional<v1::StreamEnd> end;
};

class WeightsStreamingTest : public StreamingFixture {
 protected:
  static constexpr int64_t kKernel = 3 * 3 * 4 * 3;

  StreamedWeights GetStreamed(const std::string& name) {
    v1::GetWeightsStreamRequest request;
    request.set_name(name);
    grpc::ClientContext context;
    const auto stream = stub_->GetWeightsStream(&context, request);
    StreamedWeights weights;
    v1::GetWeightsStreamResponse response;
    while (stream->Read(&response)) {
      if (response.has_start()) weights.start = response.start();
      if (response.has_data()) weights.data += response.data();
      if (response.has_end()) weights.end = response.end();
    }
    weights.status = stream->Finish();
    return weights;
  }

  static v1::SetWeightsStreamRequest StartOf(const std::string& name) {
    v1::SetWeightsStreamRequest request;
    request.mutable_start()->set_name(name);
    SetHeader(request.mutable_start()->mutable_kernel(), {3, 3, 4, 3});
    SetHeader(request.mutable_start()->mutable_bias(), {4});
    return request;
  }
  static v1::SetWeightsStreamRequest DataOf(const std::string& bytes) {
    v1::SetWeightsStreamRequest request;
    request.set_data(bytes);
    return request;
  }
  static v1::SetWeightsStreamRequest EndOf(std::optional<uint64_t> checksum = {}) {
    v1::SetWeightsStreamRequest request;
    request.mutable_end();
    if (checksum.has_value()) request.mutable_end()->set_xxh3(*checksum);
    return request;
  }

  grpc::Status Set(const std::vector<v1::SetWeightsStreamRequest>& parts) {
    grpc::ClientContext context;
    const auto stream = stub_->SetWeightsStream(&context, &response_);
    for (const auto& part : parts) {
      if (!stream->Write(part)) break;
    }
    stream->WritesDone();
    return stream->Finish();
  }

  v1::SetWeightsStreamResponse response_;
};

TEST_F(WeightsStreamingTest, ReturnsTheWeightsThatWereSet) {
  Start();
  Create("l");
  const std::string elements = Elements(kKernel + 4);
  const grpc::Status set = Set({StartOf("l"), DataOf(elements.substr(0, 5)),
                                DataOf(elements.substr(5)), EndOf(ChecksumOf(elements))});
  ASSERT_TRUE(set.ok()) << set.error_message();
  EXPECT_EQ(response_.weights_version(), 2);
  const StreamedWeights weights = GetStreamed("l");
  ASSERT_TRUE(weights.status.ok()) << weights.status.error_message();
  EXPECT_THAT(weights.start.kernel().shape(), ::testing::ElementsAre(3, 3, 4, 3));
  EXPECT_THAT(weights.start.bias().shape(), ::testing::ElementsAre(4));
  EXPECT_EQ(weights.start.weights_version(), 2);
  EXPECT_TRUE(weights.data == elements);
  ASSERT_TRUE(weights.end.has_value());
  EXPECT_EQ(weights.end->xxh3(), ChecksumOf(elements));
}

TEST_F(WeightsStreamingTest, SendsManyMessagesOfLargeWeights) {
  Start();
  Create("l", [](v1::LayerConfig& config) {
    config.set_filters(40'000);
    config.set_use_bias(false);
  });
  const StreamedWeights weights = GetStreamed("l");
  ASSERT_TRUE(weights.end.has_value()) << weights.status.error_message();
  EXPECT_FALSE(weights.start.has_bias());
  EXPECT_EQ(weights.data.size(), 40'000 * 9 * 3 * sizeof(float));
  EXPECT_EQ(weights.end->xxh3(), ChecksumOf(weights.data));
}

TEST_F(WeightsStreamingTest, ChangesNothingUnlessAllIsRight) {
  Start();
  Create("l");
  const std::string before = GetStreamed("l").data;
  const std::string elements = Elements(kKernel + 4);
  const auto data = DataOf(elements);
  auto other_version = StartOf("l");
  other_version.mutable_start()->set_if_version(9);
  auto other_shape = StartOf("l");
  SetHeader(other_shape.mutable_start()->mutable_kernel(), {3, 3, 4, 2});
  auto no_bias = StartOf("l");
  no_bias.mutable_start()->clear_bias();
  struct Bad {
    const char* name;
    std::vector<v1::SetWeightsStreamRequest> parts;
    StatusCode code;
    const char* message;
  };
  const std::vector<Bad> kBad = {
      {"nothing", {}, StatusCode::INVALID_ARGUMENT, "end"},
      {"no start", {data, EndOf()}, StatusCode::INVALID_ARGUMENT, "start"},
      {"two starts", {StartOf("l"), StartOf("l")}, StatusCode::INVALID_ARGUMENT, "part"},
      {"no end", {StartOf("l"), data}, StatusCode::INVALID_ARGUMENT, "end"},
      {"too little", {StartOf("l"), DataOf("1"), EndOf()}, StatusCode::INVALID_ARGUMENT, "data"},
      {"too much", {StartOf("l"), data, DataOf("1")}, StatusCode::INVALID_ARGUMENT, "data"},
      {"a wrong checksum",
       {StartOf("l"), data, EndOf(1)},
       StatusCode::INVALID_ARGUMENT,
       "end.xxh3"},
      {"another version", {other_version, data, EndOf()}, StatusCode::ABORTED, "version"},
      {"another shape", {other_shape, data}, StatusCode::INVALID_ARGUMENT, "start.kernel.shape"},
      {"no bias", {no_bias, data}, StatusCode::INVALID_ARGUMENT, "start.bias"},
      {"an unknown layer", {StartOf("m"), data, EndOf()}, StatusCode::NOT_FOUND, "m"},
  };
  for (const Bad& bad : kBad) {
    const grpc::Status status = Set(bad.parts);
    EXPECT_EQ(status.error_code(), bad.code) << bad.name << ": " << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(bad.message)) << bad.name;
  }
  const StreamedWeights after = GetStreamed("l");
  EXPECT_TRUE(after.data == before);
  EXPECT_EQ(after.start.weights_version(), 1);
  EXPECT_TRUE(IsIdleSoon());
}

TEST_F(WeightsStreamingTest, ConvertsToTheTypeOfTheLayer) {
  Start();
  Create("l", [](v1::LayerConfig& config) { config.set_dtype("float64"); });
  const std::string elements = Elements(kKernel + 4);
  const grpc::Status set = Set({StartOf("l"), DataOf(elements), EndOf()});
  ASSERT_TRUE(set.ok()) << set.error_message();
  const StreamedWeights weights = GetStreamed("l");
  EXPECT_EQ(weights.start.kernel().dtype(), v1::DATA_TYPE_FLOAT64);
  EXPECT_EQ(weights.data.size(), 2 * elements.size());
}

TEST_F(WeightsStreamingTest, ForgetsClientsThatVanish) {
  Start();
  Create("l");
  {
    grpc::ClientContext context;
    const auto stream = stub_->SetWeightsStream(&context, &response_);
    stream->Write(StartOf("l"));
    stream->Write(DataOf("1234"));
    context.TryCancel();
    EXPECT_EQ(stream->Finish().error_code(), StatusCode::CANCELLED);
  }
  EXPECT_EQ(GetStreamed("l").start.weights_version(), 1);
  EXPECT_TRUE(IsIdleSoon());
}

}  // namespace
}  // namespace tconv::testing
