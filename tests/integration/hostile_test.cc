// Clients that send nonsense, ask for the impossible or vanish: each gets a code
// that says so, and the server serves on.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/client.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <stop_token>
#include <string>
#include <vector>

#include "tests/integration/raw_call.h"
#include "tests/support/small_layer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_server.h"

namespace tconv::testing {
namespace {

using absl::StatusCode;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsNan;

const char* const kMethods[] = {"Create", "Build", "SetWeights", "GetWeights",        "Forward",
                                "Get",    "List",  "Delete",     "ComputeOutputShape"};

std::string Path(const std::string& method) { return fmt::format("/{}/{}", kServiceName, method); }

v1::Tensor TensorOf(std::vector<int64_t> shape, std::string data) {
  v1::Tensor tensor;
  tensor.set_dtype(v1::DATA_TYPE_FLOAT32);
  tensor.mutable_shape()->Add(shape.begin(), shape.end());
  tensor.set_data(std::move(data));
  return tensor;
}

// Every test ends with a server that is healthy and computes.
class HostileTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_THAT(client_.Create(SmallLayer("up", 1)), IsOk()); }

  void TearDown() override {
    EXPECT_THAT(client_.CheckHealth(), IsOk());
    const auto result = client_.Forward("up", SmallInput());
    ASSERT_THAT(result, IsOk());
    EXPECT_THAT(*result->output.values<float>(), Each(3.0F));
  }

  absl::Status ForwardProto(const v1::Tensor& input) {
    v1::ForwardRequest request;
    request.set_name("up");
    *request.mutable_input() = input;
    const grpc::Status status =
        RawUnaryCall(channel_, Path("Forward"), request.SerializeAsString());
    return {static_cast<absl::StatusCode>(status.error_code()), status.error_message()};
  }

  const std::unique_ptr<TestServer> server_ = TestServer::Start();
  const Client client_{server_->target()};
  const std::shared_ptr<grpc::Channel> channel_ = OpenChannel(server_->target());
};

TEST_F(HostileTest, BytesThatAreNoMessageAreInvalidArguments) {
  for (const char* method : kMethods) {
    const grpc::Status status = RawUnaryCall(channel_, Path(method), "\xff\xff\xff\xff\xff");
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << method;
    EXPECT_THAT(status.error_message(), HasSubstr(fmt::format("tconv.v1.{}Request", method)));
  }
}

TEST_F(HostileTest, NamesThatAreNotUtf8AreInvalidArguments) {
  const grpc::Status status = RawUnaryCall(channel_, Path("Get"), "\x0a\x02\xff\xfe");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(HostileTest, RandomBytesNeverCauseAnInternalError) {
  std::minstd_rand random(7);
  for (int i = 0; i < 300; ++i) {
    std::string bytes(random() % 60, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    const std::string method = kMethods[random() % std::size(kMethods)];
    const grpc::StatusCode code = RawUnaryCall(channel_, Path(method), bytes).error_code();
    EXPECT_THAT(code, ::testing::AnyOf(grpc::StatusCode::INVALID_ARGUMENT,
                                       grpc::StatusCode::NOT_FOUND, grpc::StatusCode::OK))
        << method;
  }
}

TEST_F(HostileTest, AnUnknownMethodIsUnimplemented) {
  EXPECT_EQ(RawUnaryCall(channel_, Path("Explode"), "").error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(HostileTest, TensorsThatDoNotFitTheirBytesAreRefused) {
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  const std::string twelve(12, '\0');
  const struct {
    const char* what;
    v1::Tensor input;
    const char* field;
  } kCases[] = {
      {"a huge shape", TensorOf({1 << 20, 1 << 20, 1 << 20, 3}, twelve), "input.shape: "},
      {"the largest extents", TensorOf({kHuge, kHuge, kHuge, kHuge}, twelve), "input.shape: "},
      {"more than there is", TensorOf({1, 2, 2, 3}, twelve), "input.data: "},
      {"less than there is", TensorOf({1, 1, 1, 0}, twelve), "input.data: "},
      {"a negative extent", TensorOf({-1, 2, 2, 3}, twelve), "input.shape: "},
      {"many axes", TensorOf(std::vector<int64_t>(1000, 1), std::string(4, '\0')), "input.shape: "},
      {"no spatial extent", TensorOf({1, 0, 2, 3}, ""), "input.shape: "},
  };
  for (const auto& test : kCases) {
    EXPECT_THAT(ForwardProto(test.input),
                StatusIs(StatusCode::kInvalidArgument, ::testing::StartsWith(test.field)))
        << test.what;
  }
}

TEST_F(HostileTest, AnUnknownElementTypeIsRefused) {
  v1::Tensor input = TensorOf({1, 1, 1, 3}, std::string(12, '\0'));
  input.set_dtype(static_cast<v1::DataType>(99));
  EXPECT_THAT(ForwardProto(input),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("input.dtype: ")));
}

TEST_F(HostileTest, AnEmptyBatchHasAnEmptyAnswer) {
  const auto result = client_.Forward("up", Filled({0, 2, 2, 3}, 1));
  ASSERT_THAT(result, IsOk());
  EXPECT_THAT(result->output.shape(), ElementsAre(0, 4, 4, 4));
  EXPECT_THAT(result->output.bytes(), IsEmpty());
}

TEST_F(HostileTest, NotANumberIsComputedLikeANumber) {
  const auto result =
      client_.Forward("up", Filled({1, 1, 1, 3}, std::numeric_limits<float>::quiet_NaN()));
  ASSERT_THAT(result, IsOk());
  EXPECT_THAT(*result->output.values<float>(), Each(IsNan()));
}

v1::LayerConfig ConfigWith(const std::function<void(v1::LayerConfig&)>& change) {
  v1::LayerConfig config = SmallConfig();
  change(config);
  return config;
}

TEST_F(HostileTest, LayersBeyondAllLimitsAreRefusedBeforeTheyTakeMemory) {
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  const struct {
    const char* what;
    v1::LayerConfig config;
    int64_t channels;
  } kCases[] = {
      {"filters", ConfigWith([](auto& c) { c.set_filters(kHuge); }), 3},
      {"kernel", ConfigWith([](auto& c) { c.set_kernel_size(0, kHuge); }), 3},
      {"channels", SmallConfig(), kHuge},
      {"a few terabytes", ConfigWith([](auto& c) { c.set_filters(1 << 20); }), 1 << 20},
  };
  for (const auto& test : kCases) {
    const auto layer =
        client_.Create({.definition = test.config, .input_shape = {-1, -1, -1, test.channels}});
    EXPECT_THAT(layer.status().code(),
                ::testing::AnyOf(StatusCode::kInvalidArgument, StatusCode::kResourceExhausted))
        << test.what << ": " << layer.status();
  }
}

TEST_F(HostileTest, OutputsBeyondAllLimitsAreRefusedBeforeTheyTakeMemory) {
  const auto far = ConfigWith([](auto& c) { c.set_strides(0, 1 << 30); });
  ASSERT_THAT(client_.Create({.name = "far", .definition = far, .input_shape = {-1, -1, -1, 3}}),
              IsOk());
  EXPECT_THAT(client_.Forward("far", Filled({1, 100, 100, 3}, 1)),
              StatusIs(StatusCode::kResourceExhausted));
}

TEST_F(HostileTest, DeepJsonIsRefused) {
  std::string json = R"({"filters": 1, "kernel_size": )";
  json.append(100'000, '[');
  EXPECT_THAT(client_.Create({.definition = KerasJson{json}}),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("keras_json: ")));
}

TEST_F(HostileTest, DeepArgumentsAreRefused) {
  v1::LayerConfig config = SmallConfig();
  google::protobuf::Value deep;
  for (int i = 0; i < 1000; ++i) {
    google::protobuf::Value outer;
    outer.mutable_list_value()->add_values()->Swap(&deep);
    deep.Swap(&outer);
  }
  config.mutable_activation()->set_name("relu");
  (*config.mutable_activation()->mutable_arguments()->mutable_fields())["max_value"] = deep;
  EXPECT_THAT(client_.Create({.definition = config}), StatusIs(StatusCode::kInvalidArgument));
}

TEST_F(HostileTest, NamesCannotForgeLinesOfTheLog) {
  EXPECT_THAT(client_.Create(SmallLayer("up\n2030-01-01 info all is well", 1)),
              StatusIs(StatusCode::kInvalidArgument));
}

TEST_F(HostileTest, CallersThatVanishLeaveTheServerServing) {
  for (int i = 0; i < 5; ++i) {
    std::stop_source caller;
    auto call = client_.ForwardAsync("up", Filled({8, 64, 64, 3}, 1),
                                     {.call = {.cancellation = caller.get_token()}});
    caller.request_stop();
    const auto result = call.get();
    EXPECT_TRUE(result.ok() || result.status().code() == StatusCode::kCancelled) << result.status();
  }
}

TEST_F(HostileTest, ACallPastItsDeadlineIsToldSo) {
  server::ServerOptions options;
  options.strategy = "reference";
  options.admission.handler_threads = 1;
  const auto server = TestServer::Start(options);
  const Client client(server->target());
  ASSERT_THAT(client.Create(SlowLayer("slow")), IsOk());
  auto running = client.ForwardAsync("slow", SlowInput());
  auto waiting = client.ForwardAsync("slow", SlowInput(),
                                     {.call = {.timeout = std::chrono::milliseconds(20)}});
  EXPECT_THAT(waiting.get(), StatusIs(StatusCode::kDeadlineExceeded));
  EXPECT_THAT(running.get(), IsOk());
}

TEST_F(HostileTest, ARequestBeyondTheLimitOfMessagesIsRefused) {
  server::ServerOptions options;
  options.grpc.max_message_bytes = 64 << 10;
  const auto server = TestServer::Start(options);
  const Client client(server->target());
  EXPECT_THAT(client.Forward("up", Filled({1, 100, 100, 3}, 1)),
              StatusIs(StatusCode::kResourceExhausted));
}

TEST_F(HostileTest, ARequestBeyondTheMemoryForTransportIsRefusedOnItsWay) {
  server::ServerOptions options;
  options.grpc.max_transport_bytes = 1 << 20;
  const auto server = TestServer::Start(options);
  const Client client(server->target());
  EXPECT_THAT(client.Forward("up", Filled({1, 2000, 2000, 3}, 1), {.transfer = Transfer::kMessage}),
              StatusIs(StatusCode::kResourceExhausted));
}

TEST_F(HostileTest, ARequestBeyondTheLimitOfWaitingBytesIsRefused) {
  server::ServerOptions options;
  options.admission.max_bytes = 64 << 10;
  const auto server = TestServer::Start(options);
  const Client client(server->target());
  EXPECT_THAT(client.Forward("up", Filled({1, 100, 100, 3}, 1)),
              StatusIs(StatusCode::kResourceExhausted));
  EXPECT_THAT(client.Get("up"), StatusIs(StatusCode::kNotFound));
}

}  // namespace
}  // namespace tconv::testing
