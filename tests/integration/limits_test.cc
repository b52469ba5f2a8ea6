// What one of many may use of the server, and what nobody may.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/client.h>

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "tests/integration/raw_call.h"
#include "tests/support/access_rules.h"
#include "tests/support/bare_client.h"
#include "tests/support/process_memory.h"
#include "tests/support/server_process.h"
#include "tests/support/small_layer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test_server.h"

namespace tconv::testing {
namespace {

using absl::StatusCode;
using ::testing::AnyOf;
using ::testing::HasSubstr;

constexpr char kForward[] = "/tconv.v1.TransposedConvService/Forward";
constexpr int64_t kMiB = 1 << 20;

bool IsWorthAnotherTry(const absl::Status& status) {
  return status.GetPayload("type.googleapis.com/google.rpc.RetryInfo").has_value();
}

// ---- Tenants.

// Two tenants, "a" with these limits and "b" without, each with a token of its name.
class TenantLimitsTest : public ::testing::Test {
 protected:
  void StartWith(const std::string& limits) {
    const std::string tenants = fmt::format(
        R"("a": {{"layers": ["a-"], "limits": {{{}}}}}, "b": {{"layers": ["b-"]}})", limits);
    const std::string tokens = TokenEntry("a", R"("role": "write", "tenant": "a")") + "," +
                               TokenEntry("b", R"("role": "write", "tenant": "b")");
    WriteFile(file_, AccessFile(tenants, tokens));
    server::ServerOptions options;
    options.access_file = file_;
    server_ = TestServer::Start(options);
  }

  Client Tenant(const std::string& name) const {
    return Client(server_->target(), {.token = name, .retry = {.attempts = 1}});
  }

  const TempFolder folder_;
  const std::string file_ = folder_ / "access.json";
  std::unique_ptr<TestServer> server_;
};

TEST_F(TenantLimitsTest, LayersAreCounted) {
  StartWith(R"("layers": 2)");
  EXPECT_THAT(Tenant("a").Create(SmallLayer("a-1", 1)), IsOk());
  EXPECT_THAT(Tenant("a").Create({.name = "a-2", .definition = SmallConfig()}), IsOk());
  EXPECT_THAT(Tenant("a").Create(SmallLayer("a-3", 1)),
              StatusIs(StatusCode::kResourceExhausted, HasSubstr("2 layers")));
  EXPECT_THAT(Tenant("b").Create(SmallLayer("b-1", 1)), IsOk());
  EXPECT_THAT(Tenant("a").Delete("a-1"), IsOk());
  EXPECT_THAT(Tenant("a").Create(SmallLayer("a-3", 1)), IsOk());
}

TEST_F(TenantLimitsTest, WeightsAreCountedAsTheyComeToBe) {
  // A small layer has 48 weights in its kernel and 4 in its bias.
  StartWith(R"("weight_bytes": 416)");
  EXPECT_THAT(Tenant("a").Create(SmallLayer("a-1", 1)), IsOk());
  EXPECT_THAT(Tenant("a").Create({.name = "a-2", .definition = SmallConfig()}), IsOk());
  EXPECT_THAT(Tenant("a").Build("a-2", {-1, -1, -1, 4}),
              StatusIs(StatusCode::kResourceExhausted, HasSubstr("tenant \"a\" hold 208 of 416")));
  EXPECT_THAT(Tenant("a").Build("a-2", {-1, -1, -1, 3}), IsOk());
  EXPECT_THAT(Tenant("a").Create(SmallLayer("a-3", 1)), StatusIs(StatusCode::kResourceExhausted));
  EXPECT_THAT(Tenant("a").SetWeights("a-1", SmallWeights(2)), IsOk());
  EXPECT_THAT(Tenant("b").Create(SmallLayer("b-1", 1)), IsOk());
}

TEST_F(TenantLimitsTest, ARequestThatIsTooLargeForTheTenantIsRefused) {
  StartWith(R"("in_flight_bytes": 10000)");
  ASSERT_THAT(Tenant("a").Create(SmallLayer("a-1", 1)), IsOk());
  EXPECT_THAT(Tenant("a").Forward("a-1", SmallInput()), IsOk());
  const auto refused = Tenant("a").Forward("a-1", Filled({1, 100, 100, 3}, 1));
  EXPECT_THAT(refused, StatusIs(StatusCode::kResourceExhausted, HasSubstr("tenant \"a\"")));
  EXPECT_FALSE(IsWorthAnotherTry(refused.status()));
  EXPECT_THAT(
      Tenant("a").Forward("a-1", Filled({1, 100, 100, 3}, 1), {.transfer = Transfer::kStream}),
      StatusIs(StatusCode::kResourceExhausted, HasSubstr("tenant \"a\"")));
  ASSERT_THAT(Tenant("b").Create(SmallLayer("b-1", 1)), IsOk());
  EXPECT_THAT(Tenant("b").Forward("b-1", Filled({1, 100, 100, 3}, 1)), IsOk());
  // What was refused has left nothing behind.
  EXPECT_THAT(Tenant("a").Forward("a-1", Filled({1, 25, 25, 3}, 1)), IsOk());
}

TEST_F(TenantLimitsTest, CallsBeyondTheRateAreToldWhenToComeAgain) {
  StartWith(R"("calls_per_second": 3)");
  const Client client = Tenant("a");
  const auto call_until_refused = [&] {
    absl::Status status;
    do {
      status = client.Get("a-1").status();
    } while (status.code() == StatusCode::kNotFound);
    return status;
  };
  const absl::Status refused = call_until_refused();
  EXPECT_THAT(refused, StatusIs(StatusCode::kResourceExhausted, HasSubstr("3 calls a second")));
  EXPECT_TRUE(IsWorthAnotherTry(refused));
  EXPECT_THAT(Tenant("b").Get("b-1"), StatusIs(StatusCode::kNotFound));
}

TEST_F(TenantLimitsTest, PlansBeyondTheShareOfATenantGoAndThoseOfOthersStay) {
  StartWith(R"("plan_bytes": 1)");
  for (const std::string name : {"a", "b"}) {
    ASSERT_THAT(Tenant(name).Create(SmallLayer(name + "-1", 1)), IsOk());
    EXPECT_THAT(Tenant(name).Forward(name + "-1", SmallInput()), IsOk());
  }
  EXPECT_EQ(Tenant("a").Get("a-1")->plans_size(), 0);
  EXPECT_EQ(Tenant("b").Get("b-1")->plans_size(), 1);
}

TEST(RateTest, ThereIsOneForAllTogether) {
  server::ServerOptions options;
  options.max_calls_per_second = 3;
  const auto server = TestServer::Start(options);
  const Client client(server->target(), {.retry = {.attempts = 1}});
  absl::Status status;
  for (int i = 0; i < 1000 && status.code() != StatusCode::kResourceExhausted; ++i) {
    status = client.Get("none").status();
  }
  EXPECT_THAT(status, StatusIs(StatusCode::kResourceExhausted, HasSubstr("the server makes")));
}

// ---- Callers that keep the server waiting.

constexpr std::chrono::seconds kArrival(1);

class ArrivalTest : public ::testing::Test {
 protected:
  void SetUp() override {
    server::ServerOptions options;
    options.request_arrival = kArrival;
    options.admission.handler_threads = 1;
    options.admission.max_waiting_calls = 0;
    server_ = TestServer::Start(options);
    ASSERT_THAT(client().Create(SmallLayer("up", 1)), IsOk());
    AwaitCalls(0);  // its place is free a little after its answer has come
  }

  Client client() const { return Client(server_->target(), {.retry = {.attempts = 1}}); }

  void AwaitCalls(int64_t calls) const {
    while (server_->app().load().calls != calls) {
    }
  }

  std::unique_ptr<TestServer> server_;
};

TEST_F(ArrivalTest, ACallThatSendsNothingGivesItsPlaceBack) {
  RawStream call(OpenChannel(server_->target()), kForward, {});
  AwaitCalls(1);
  EXPECT_THAT(client().Forward("up", SmallInput()), StatusIs(StatusCode::kResourceExhausted));
  EXPECT_EQ(call.AwaitEnd().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  AwaitCalls(0);
  EXPECT_THAT(client().Forward("up", SmallInput()), IsOk());
}

TEST_F(ArrivalTest, ACallThatSendsHalfOfItsRequestGivesItsPlaceBack) {
  BareClient half(server_->target(), kForward);
  half.Send(Framed(std::string(1000, 'x')).substr(0, 500));
  AwaitCalls(1);
  AwaitCalls(0);
}

TEST_F(ArrivalTest, AStreamThatStallsEnds) {
  v1::ForwardStreamRequest start;
  start.mutable_start()->set_name("up");
  v1::TensorHeader& input = *start.mutable_start()->mutable_input();
  input.set_dtype(v1::DATA_TYPE_FLOAT32);
  for (const int64_t extent : {1, 2, 2, 3}) input.add_shape(extent);
  v1::ForwardStreamRequest data;
  data.set_data(std::string(12, '\0'));
  const std::string method = fmt::format("/{}/ForwardStream", kServiceName);
  const std::vector<std::vector<std::string>> kBeginnings = {
      {}, {start.SerializeAsString()}, {start.SerializeAsString(), data.SerializeAsString()}};
  for (const auto& messages : kBeginnings) {
    RawStream call(OpenChannel(server_->target()), method, messages);
    EXPECT_EQ(call.AwaitEnd().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED) << messages.size();
    AwaitCalls(0);
  }
}

TEST_F(ArrivalTest, AnAnswerThatNobodyTakesEndsToo) {
  v1::LayerConfig config = SmallConfig();
  config.set_filters(4096);
  ASSERT_THAT(
      client().Create({.name = "large", .definition = config, .input_shape = {-1, -1, -1, 512}}),
      IsOk());
  AwaitCalls(0);
  v1::GetWeightsStreamRequest request;
  request.set_name("large");
  BareClient reader(server_->target(), fmt::format("/{}/GetWeightsStream", kServiceName));
  reader.Send(Framed(request.SerializeAsString()));
  AwaitCalls(1);
  AwaitCalls(0);
}

// ---- Bounds of what a peer may send at all.

TEST(HardLimitsTest, HeadersBeyondTheLimitAreRefused) {
  server::ServerOptions options;
  options.grpc.max_header_bytes = 4 << 10;
  const auto server = TestServer::Start(options);
  const auto call_with = [&](size_t bytes) {
    grpc::GenericStub stub(OpenChannel(server->target()));
    grpc::ClientContext context;
    context.AddMetadata("x-filler", std::string(bytes, 'x'));
    grpc::ByteBuffer request = ToBuffer(""), response;
    std::promise<grpc::Status> status;
    stub.UnaryCall(&context, fmt::format("/{}/List", kServiceName), grpc::StubOptions(), &request,
                   &response, [&](grpc::Status end) { status.set_value(std::move(end)); });
    return status.get_future().get().error_code();
  };
  EXPECT_EQ(call_with(1 << 10), grpc::StatusCode::OK);
  EXPECT_EQ(call_with(16 << 10), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(call_with(1 << 10), grpc::StatusCode::OK);
}

TEST(HardLimitsTest, OneConnectionHasOnlySoManyCallsOpen) {
  server::ServerOptions options;
  options.grpc.max_connection_calls = 2;
  const auto server = TestServer::Start(options);
  const Client client(server->target(), {.timeout = std::chrono::milliseconds(200)});
  ASSERT_THAT(client.CheckHealth(), IsOk());
  const auto channel = OpenChannel(server->target());
  const std::string watch = "/grpc.health.v1.Health/Watch";
  const RawStream first(channel, watch, {HealthRequest("")});
  const RawStream second(channel, watch, {HealthRequest("")});
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(200));
  grpc::ByteBuffer request = ToBuffer(""), response;
  std::promise<grpc::Status> status;
  stub.UnaryCall(&context, fmt::format("/{}/List", kServiceName), grpc::StubOptions(), &request,
                 &response, [&](grpc::Status end) { status.set_value(std::move(end)); });
  EXPECT_EQ(status.get_future().get().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_THAT(client.List(), IsOk()) << "another connection";
}

// A server whose memory is watched while it refuses.
class RefusalTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(server_.target(), "") << server_.log();
    ASSERT_THAT(client_.Create(SmallLayer("up", 1)), IsOk());
    ASSERT_THAT(client_.Forward("up", SmallInput()), IsOk());
  }

  // Runs `call`, which is to fail for being too large, and expects that the server
  // allocates next to nothing for it.
  void ExpectCheapRefusal(const char* what, const std::function<absl::Status()>& call) {
    constexpr int64_t kSlack = 8 * kMiB;
    ForgetPeak(server_.pid());
    const int64_t before = MemoryOf(server_.pid(), "VmRSS");
    EXPECT_THAT(call().code(), AnyOf(StatusCode::kInvalidArgument, StatusCode::kResourceExhausted))
        << what;
    const int64_t used = MemoryOf(server_.pid(), "VmHWM") - before;
    EXPECT_LT(used, kSlack) << what;
    RecordProperty(what, fmt::format("{} KiB", used / 1024));
  }

  ServerProcess server_{{"--store=memory:"}};
  const Client client_{server_.target()};
};

v1::LayerConfig WideConfig(int64_t filters) {
  v1::LayerConfig config = SmallConfig();
  config.set_filters(filters);
  return config;
}

TEST_F(RefusalTest, LayersThatAreTooLargeTakeNoMemory) {
  ExpectCheapRefusal("a_million_channels_in_and_out", [&] {
    return client_
        .Create({.definition = WideConfig(1'000'000), .input_shape = {-1, -1, -1, 1'000'000}})
        .status();
  });
  ASSERT_THAT(client_.Create({.name = "late", .definition = WideConfig(1'000'000)}), IsOk());
  ExpectCheapRefusal("build_with_a_million_channels", [&] {
    return client_.Build("late", {-1, -1, -1, 1'000'000}).status();
  });
}

std::string ForwardMessage(const std::vector<int64_t>& shape) {
  v1::ForwardRequest request;
  request.set_name("up");
  request.mutable_input()->set_dtype(v1::DATA_TYPE_FLOAT32);
  request.mutable_input()->mutable_shape()->Add(shape.begin(), shape.end());
  return request.SerializeAsString();
}

TEST_F(RefusalTest, ShapesThatAreTooLargeTakeNoMemory) {
  const auto channel = OpenChannel(server_.target());
  const auto call = [&](const char* method, const std::string& message) {
    const grpc::Status status =
        RawUnaryCall(channel, fmt::format("/{}/{}", kServiceName, method), message);
    return absl::Status(static_cast<StatusCode>(status.error_code()), status.error_message());
  };
  ExpectCheapRefusal("forward_of_2_to_the_40_elements", [&] {
    return call("Forward", ForwardMessage({1 << 20, 1 << 10, 1 << 10, 3}));
  });
  ExpectCheapRefusal("forward_of_a_hundred_thousand_axes", [&] {
    return call("Forward", ForwardMessage(std::vector<int64_t>(100'000, 1)));
  });
  v1::SetWeightsStreamRequest start;
  start.mutable_start()->set_name("up");
  start.mutable_start()->mutable_kernel()->set_dtype(v1::DATA_TYPE_FLOAT32);
  for (const int64_t extent : {1 << 10, 1 << 10, 1 << 10, 1 << 10}) {
    start.mutable_start()->mutable_kernel()->add_shape(extent);
  }
  ExpectCheapRefusal("set_weights_stream_of_2_to_the_40_elements",
                     [&] { return call("SetWeightsStream", start.SerializeAsString()); });
  v1::ForwardStreamRequest stream;
  stream.mutable_start()->set_name("up");
  stream.mutable_start()->mutable_input()->set_dtype(v1::DATA_TYPE_FLOAT32);
  for (const int64_t extent : {1, 1 << 20, 1 << 20, 3}) {
    stream.mutable_start()->mutable_input()->add_shape(extent);
  }
  ExpectCheapRefusal("forward_stream_of_rows_of_a_million",
                     [&] { return call("ForwardStream", stream.SerializeAsString()); });
}

TEST_F(RefusalTest, NamesHaveALargestLength) {
  ExpectCheapRefusal("a_name_of_64_kilobytes", [&] {
    return client_.Create(SmallLayer(std::string(64 << 10, 'x'), 1)).status();
  });
}

}  // namespace
}  // namespace tconv::testing
