// The inference protocol, call by call, through its stubs against a real server.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/client.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <future>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/integration/raw_call.h"
#include "tests/support/access_rules.h"
#include "tests/support/inference_client.h"
#include "tests/support/small_layer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test_server.h"

namespace tconv::testing {
namespace {

using absl::StatusCode;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Stub = InferenceClient::Stub;
using inference::ModelInferRequest;

const char* const kMethods[] = {"ModelReady",      "ServerMetadata",      "ModelMetadata",
                                "ModelInfer",      "ModelConfig",         "ModelStatistics",
                                "RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload"};

std::string Path(const std::string& method) { return "/inference.GRPCInferenceService/" + method; }

template <typename Request>
Request Named(const std::string& name, const std::string& version = "") {
  Request request;
  request.set_name(name);
  request.set_version(version);
  return request;
}

template <typename Request>
Request ForModel(const std::string& name) {
  Request request;
  request.set_model_name(name);
  return request;
}

std::vector<float> Floats(const std::string& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

class InferenceTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_THAT(client_.Create(SmallLayer("up", 1)), IsOk()); }

  absl::StatusOr<bool> IsReady(const std::string& name, const std::string& version = "") {
    const auto response =
        inference_.Call(&Stub::ModelReady, Named<inference::ModelReadyRequest>(name, version));
    if (!response.ok()) return response.status();
    return response->ready();
  }
  inference::ModelStatistics StatisticsOf(const std::string& name) {
    const auto response =
        inference_.Call(&Stub::ModelStatistics, Named<inference::ModelStatisticsRequest>(name));
    EXPECT_THAT(response, IsOk());
    return response.ok() && response->model_stats_size() > 0 ? response->model_stats(0)
                                                             : inference::ModelStatistics();
  }
  // "name version state" of each.
  std::vector<std::string> Index(bool only_ready = false) {
    inference::RepositoryIndexRequest request;
    request.set_ready(only_ready);
    const auto response = inference_.Call(&Stub::RepositoryIndex, request);
    EXPECT_THAT(response, IsOk());
    std::vector<std::string> index;
    for (const auto& model : response->models()) {
      index.push_back(fmt::format("{} {} {}", model.name(), model.version(), model.state()));
      EXPECT_EQ(model.reason().empty(), model.state() == "READY") << model.reason();
    }
    return index;
  }
  absl::Status Load(const std::string& name) {
    return inference_
        .Call(&Stub::RepositoryModelLoad, ForModel<inference::RepositoryModelLoadRequest>(name))
        .status();
  }
  absl::Status Unload(const std::string& name) {
    auto request = ForModel<inference::RepositoryModelUnloadRequest>(name);
    // As tritonclient always sends it.
    (*request.mutable_parameters())["unload_dependents"].set_bool_param(false);
    return inference_.Call(&Stub::RepositoryModelUnload, request).status();
  }

  const std::unique_ptr<TestServer> server_ = TestServer::Start();
  const Client client_{server_->target()};
  InferenceClient inference_{server_->target()};
};

TEST_F(InferenceTest, TheServerIsLiveReadyAndNamed) {
  EXPECT_TRUE(inference_.Call(&Stub::ServerLive, inference::ServerLiveRequest())->live());
  EXPECT_TRUE(inference_.Call(&Stub::ServerReady, inference::ServerReadyRequest())->ready());
  const auto metadata = inference_.Call(&Stub::ServerMetadata, inference::ServerMetadataRequest());
  ASSERT_THAT(metadata, IsOk());
  EXPECT_EQ(metadata->name(), "tconv");
  EXPECT_FALSE(metadata->version().empty());
  EXPECT_THAT(metadata->extensions(), Contains("statistics"));
  EXPECT_THAT(client_.CheckHealth("inference.GRPCInferenceService"), IsOk());
}

TEST_F(InferenceTest, EchoesTheIdAndTellsTheVersion) {
  ModelInferRequest request = InferRequestOf("up", SmallInput());
  request.set_id("a request");
  const auto answer = inference_.Infer(request);
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->id(), "a request");
  EXPECT_EQ(answer->model_version(), "1");
  EXPECT_THAT(answer->outputs(0).shape(), ElementsAre(1, 4, 4, 4));
  EXPECT_THAT(Floats(answer->raw_output_contents(0)), Each(3.0F));
}

TEST_F(InferenceTest, ComputesAnEmptyBatch) {
  const auto answer = inference_.Infer(InferRequestOf("up", Filled({0, 2, 2, 3}, 1)));
  ASSERT_THAT(answer, IsOk());
  EXPECT_THAT(answer->outputs(0).shape(), ElementsAre(0, 4, 4, 4));
  EXPECT_THAT(answer->raw_output_contents(), ElementsAre(IsEmpty()));
}

TEST_F(InferenceTest, OneVersionIsServed) {
  ASSERT_THAT(client_.SetWeights("up", SmallWeights(2)), IsOkAndHolds(2));
  const struct {
    const char* version;
    StatusCode code;
  } kCases[] = {{"", StatusCode::kOk},
                {"2", StatusCode::kOk},
                {"1", StatusCode::kNotFound},
                {"3", StatusCode::kNotFound},
                {"x", StatusCode::kInvalidArgument}};
  for (const auto& test : kCases) {
    ModelInferRequest request = InferRequestOf("up", SmallInput());
    request.set_model_version(test.version);
    EXPECT_THAT(inference_.Infer(request), StatusIs(test.code)) << test.version;
    EXPECT_THAT(IsReady("up", test.version), StatusIs(test.code)) << test.version;
    EXPECT_THAT(inference_.Call(&Stub::ModelMetadata,
                                Named<inference::ModelMetadataRequest>("up", test.version)),
                StatusIs(test.code))
        << test.version;
    EXPECT_THAT(inference_.Call(&Stub::ModelConfig,
                                Named<inference::ModelConfigRequest>("up", test.version)),
                StatusIs(test.code))
        << test.version;
  }
}

TEST_F(InferenceTest, WhatIsNotThereIsNotFound) {
  EXPECT_THAT(IsReady("none"), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(inference_.Infer(InferRequestOf("none", SmallInput())),
              StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(
      inference_.Call(&Stub::ModelStatistics, Named<inference::ModelStatisticsRequest>("none")),
      StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(Load("none"), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(Unload("none"), StatusIs(StatusCode::kNotFound));
  inference::RepositoryIndexRequest request;
  request.set_repository_name("mine");
  EXPECT_THAT(inference_.Call(&Stub::RepositoryIndex, request), StatusIs(StatusCode::kNotFound));
}

TEST_F(InferenceTest, AModelWithoutWeightsIsThereAndNotReady) {
  ASSERT_THAT(client_.Create({.name = "later", .definition = SmallConfig()}), IsOk());
  EXPECT_THAT(IsReady("later"), IsOkAndHolds(false));
  EXPECT_THAT(IsReady("up"), IsOkAndHolds(true));
  EXPECT_THAT(inference_.Infer(InferRequestOf("later", SmallInput())),
              StatusIs(StatusCode::kFailedPrecondition));
  EXPECT_THAT(Index(), ElementsAre("later  UNAVAILABLE", "up 1 READY"));
  EXPECT_THAT(Index(/*only_ready=*/true), ElementsAre("up 1 READY"));
  const auto metadata =
      inference_.Call(&Stub::ModelMetadata, Named<inference::ModelMetadataRequest>("later"));
  EXPECT_THAT(metadata->versions(), IsEmpty());
  EXPECT_THAT(metadata->inputs(0).shape(), ElementsAre(-1, -1, -1, -1));
}

TEST_F(InferenceTest, TheConfigurationSaysWhatLoadGeneratorsAskFor) {
  const auto response =
      inference_.Call(&Stub::ModelConfig, Named<inference::ModelConfigRequest>("up"));
  ASSERT_THAT(response, IsOk());
  const inference::ModelConfig& config = response->config();
  EXPECT_EQ(config.max_batch_size(), 0);
  ASSERT_EQ(config.input_size(), 1);
  EXPECT_EQ(config.input(0).name(), "input");
  EXPECT_EQ(config.input(0).data_type(), inference::TYPE_FP32);
  EXPECT_THAT(config.input(0).dims(), ElementsAre(-1, -1, -1, 3));
  ASSERT_EQ(config.output_size(), 1);
  EXPECT_EQ(config.output(0).name(), "output");
  EXPECT_THAT(config.output(0).dims(), ElementsAre(-1, -1, -1, 4));
}

TEST_F(InferenceTest, AnUnloadedModelIsUnavailableThroughBothDoors) {
  ASSERT_THAT(Unload("up"), IsOk());
  EXPECT_THAT(inference_.Infer(InferRequestOf("up", SmallInput())),
              StatusIs(StatusCode::kUnavailable));
  EXPECT_THAT(RawUnaryCall(OpenChannel(server_->target()),
                           fmt::format("/{}/GetWeights", kServiceName), "\x0a\x02up")
                  .error_code(),
              grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(IsReady("up"), IsOkAndHolds(false));
  EXPECT_THAT(Index(), ElementsAre("up 1 UNAVAILABLE"));
  EXPECT_FALSE(client_.CheckHealth("tconv.layer/up").ok());

  ASSERT_THAT(client_.SetWeights("up", SmallWeights(2)), IsOkAndHolds(2));
  ASSERT_THAT(Load("up"), IsOk());
  EXPECT_THAT(IsReady("up"), IsOkAndHolds(true));
  const auto answer = inference_.Infer(InferRequestOf("up", SmallInput()));
  ASSERT_THAT(answer, IsOk());
  EXPECT_THAT(Floats(answer->raw_output_contents(0)), Each(6.0F));
  EXPECT_THAT(client_.Forward("up", SmallInput()), IsOk());
}

TEST_F(InferenceTest, LoadingAndUnloadingRaceWithCalls) {
  std::atomic<bool> is_done = false;
  auto calls = std::async(std::launch::async, [&] {
    while (!is_done) {
      const auto answer = inference_.Infer(InferRequestOf("up", SmallInput()));
      EXPECT_THAT(answer, AnyOf(IsOk(), StatusIs(StatusCode::kUnavailable)));
      if (!answer.ok()) continue;
      EXPECT_THAT(Floats(answer->raw_output_contents(0)), Each(3.0F));
    }
  });
  for (int i = 0; i < 50; ++i) {
    EXPECT_THAT(Unload("up"), IsOk());
    EXPECT_THAT(Load("up"), IsOk());
  }
  is_done = true;
  calls.get();
  EXPECT_THAT(inference_.Infer(InferRequestOf("up", SmallInput())), IsOk());
}

TEST_F(InferenceTest, ParametersOfTheRepositoryAreKnownOrRefused) {
  auto load = ForModel<inference::RepositoryModelLoadRequest>("up");
  (*load.mutable_parameters())["config"].set_string_param("{}");
  EXPECT_THAT(inference_.Call(&Stub::RepositoryModelLoad, load),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("\"config\"")));
  auto unload = ForModel<inference::RepositoryModelUnloadRequest>("up");
  (*unload.mutable_parameters())["unload_dependents"].set_string_param("yes");
  EXPECT_THAT(inference_.Call(&Stub::RepositoryModelUnload, unload),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("unload_dependents")));
  EXPECT_THAT(Unload(""), StatusIs(StatusCode::kInvalidArgument, HasSubstr("model_name")));
}

TEST_F(InferenceTest, StatisticsCountTheCallsOfBothDoors) {
  EXPECT_EQ(StatisticsOf("up").version(), "1");
  EXPECT_EQ(StatisticsOf("up").inference_stats().success().count(), 0);
  EXPECT_EQ(StatisticsOf("up").last_inference(), 0);

  ASSERT_THAT(inference_.Infer(InferRequestOf("up", Filled({3, 2, 2, 3}, 1))), IsOk());
  ASSERT_THAT(client_.Forward("up", SmallInput()), IsOk());
  ASSERT_THAT(client_.Forward("up", SmallInput(), {.transfer = Transfer::kStream}), IsOk());
  EXPECT_FALSE(inference_.Infer(InferRequestOf("up", Filled({1, 2, 2, 5}, 1))).ok());

  const inference::ModelStatistics statistics = StatisticsOf("up");
  EXPECT_EQ(statistics.name(), "up");
  EXPECT_EQ(statistics.version(), "1");
  EXPECT_EQ(statistics.inference_count(), 5);
  EXPECT_EQ(statistics.execution_count(), 3);
  EXPECT_GT(statistics.last_inference(), 0);
  const inference::InferStatistics& calls = statistics.inference_stats();
  EXPECT_EQ(calls.success().count(), 3);
  EXPECT_EQ(calls.fail().count(), 1);
  for (const auto* phase :
       {&calls.queue(), &calls.compute_input(), &calls.compute_infer(), &calls.compute_output()}) {
    EXPECT_EQ(phase->count(), 3);
    EXPECT_LE(phase->ns(), calls.success().ns());
  }
  EXPECT_GT(calls.compute_infer().ns(), 0);
}

TEST_F(InferenceTest, StatisticsAreKeptByVersion) {
  ASSERT_THAT(inference_.Infer(InferRequestOf("up", SmallInput())), IsOk());
  ASSERT_THAT(client_.SetWeights("up", SmallWeights(2)), IsOkAndHolds(2));
  const auto versions_of = [&](const std::string& version) {
    std::vector<std::string> versions;
    const auto response = inference_.Call(&Stub::ModelStatistics,
                                          Named<inference::ModelStatisticsRequest>("up", version));
    EXPECT_THAT(response, IsOk());
    for (const auto& statistics : response->model_stats()) versions.push_back(statistics.version());
    return versions;
  };
  EXPECT_THAT(versions_of(""), ElementsAre("1", "2"));
  EXPECT_THAT(versions_of("1"), ElementsAre("1"));
  EXPECT_THAT(
      inference_.Call(&Stub::ModelStatistics, Named<inference::ModelStatisticsRequest>("up", "9")),
      StatusIs(StatusCode::kNotFound));
}

TEST_F(InferenceTest, ATimeoutEndsTheWait) {
  ModelInferRequest request = InferRequestOf("up", SmallInput());
  (*request.mutable_parameters())["timeout"].set_uint64_param(1);
  EXPECT_THAT(inference_.Infer(request), StatusIs(StatusCode::kDeadlineExceeded));
  (*request.mutable_parameters())["timeout"].set_int64_param(60'000'000);
  EXPECT_THAT(inference_.Infer(request), IsOk());
}

TEST_F(InferenceTest, CallsOfBothDoorsAreComputedTogether) {
  server::ServerOptions options;
  options.compute_threads = 1;
  const auto server = TestServer::Start(options);
  const Client client(server->target());
  InferenceClient inference(server->target());
  // Reading such weights takes longer than multiplying with them.
  v1::LayerConfig config;
  config.set_class_name("Conv2DTranspose");
  config.set_filters(256);
  for (int axis = 0; axis < 2; ++axis) {
    config.add_kernel_size(4);
    config.add_strides(2);
  }
  config.set_padding(v1::PADDING_SAME);
  ASSERT_THAT(
      client.Create({.name = "deep", .definition = config, .input_shape = {-1, -1, -1, 512}}),
      IsOk());
  const Tensor input = Filled({1, 2, 2, 512}, 1);
  const auto expected = client.Forward("deep", input);
  ASSERT_THAT(expected, IsOk());
  // One call through each door at a time; they meet while a long one of the same layer, which is of
  // another shape and joins nobody, keeps the thread busy.
  const Tensor long_input = Filled({1, 32, 32, 512}, 1);
  inference::ModelStatistics statistics;
  constexpr int kMostRounds = 200;
  for (int round = 0; round < kMostRounds; ++round) {
    auto long_call =
        std::async(std::launch::async, [&] { return client.Forward("deep", long_input); });
    while (server->app().load().calls == 0) std::this_thread::yield();
    auto forward = std::async(std::launch::async, [&] { return client.Forward("deep", input); });
    const auto answer = inference.Infer(InferRequestOf("deep", input));
    const auto result = forward.get();
    ASSERT_THAT(long_call.get(), IsOk());
    ASSERT_THAT(answer, IsOk());
    ASSERT_THAT(result, IsOk());
    ASSERT_EQ(answer->raw_output_contents(0), expected->output.bytes());
    ASSERT_EQ(result->output.bytes(), expected->output.bytes());
    statistics =
        inference.Call(&Stub::ModelStatistics, Named<inference::ModelStatisticsRequest>("deep"))
            ->model_stats(0);
    if (statistics.execution_count() < statistics.inference_count()) break;
  }
  EXPECT_LT(statistics.execution_count(), statistics.inference_count());
}

// ---- What clients should not send.

TEST_F(InferenceTest, BytesThatAreNoMessageAreInvalidArguments) {
  const auto channel = OpenChannel(server_->target());
  for (const char* method : kMethods) {
    const grpc::Status status = RawUnaryCall(channel, Path(method), "\xff\xff\xff\xff\xff");
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << method;
    EXPECT_THAT(status.error_message(), HasSubstr("inference.")) << method;
  }
}

TEST_F(InferenceTest, RandomBytesNeverCauseAnInternalError) {
  const auto channel = OpenChannel(server_->target());
  const std::string seed = InferRequestOf("up", SmallInput()).SerializeAsString();
  std::minstd_rand random(11);
  for (int i = 0; i < 500; ++i) {
    std::string bytes = seed.substr(0, random() % (seed.size() + 1));
    for (int flips = 0; flips < 4 && !bytes.empty(); ++flips) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    const std::string method = i % 2 == 0 ? "ModelInfer" : kMethods[random() % std::size(kMethods)];
    EXPECT_THAT(RawUnaryCall(channel, Path(method), bytes).error_code(),
                AnyOf(grpc::StatusCode::INVALID_ARGUMENT, grpc::StatusCode::NOT_FOUND,
                      grpc::StatusCode::UNAVAILABLE, grpc::StatusCode::OK))
        << method;
    ASSERT_THAT(Load("up"), IsOk());
  }
  EXPECT_THAT(inference_.Infer(InferRequestOf("up", SmallInput())), IsOk());
}

TEST_F(InferenceTest, ShapesThatDoNotFitAreRefused) {
  const struct {
    const char* what;
    Tensor input;
  } kCases[] = {{"other channels", Filled({1, 2, 2, 5}, 1)},
                {"too few axes", Filled({2, 2, 3}, 1)},
                {"no extent", Filled({1, 0, 2, 3}, 1)}};
  for (const auto& test : kCases) {
    EXPECT_THAT(inference_.Infer(InferRequestOf("up", test.input)),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr("shape")))
        << test.what;
  }
}

TEST_F(InferenceTest, LargeTypedContentsAreToldToBeRaw) {
  ModelInferRequest request = InferRequestOf("up", Filled({1, 600, 600, 3}, 1));
  request.clear_raw_input_contents();
  request.mutable_inputs(0)->mutable_contents()->mutable_fp32_contents()->Resize(600 * 600 * 3, 1);
  EXPECT_THAT(inference_.Infer(request),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("bytes besides its payloads")));
}

TEST_F(InferenceTest, OutputsOverTheLimitAreRefused) {
  server::ServerOptions options;
  options.host.max_output_bytes = 100;
  const auto server = TestServer::Start(options);
  ASSERT_THAT(Client(server->target()).Create(SmallLayer("up", 1)), IsOk());
  EXPECT_THAT(InferenceClient(server->target()).Infer(InferRequestOf("up", SmallInput())),
              StatusIs(StatusCode::kResourceExhausted));
}

// ---- Who may.

class InferenceAccessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string file = folder_ / "access.json";
    WriteFile(file,
              AccessFile(R"("vision": {"layers": ["vision-"]}, "nlp": {"layers": ["nlp-"]})",
                         TokenEntry("operator", R"("role": "admin")") + "," +
                             TokenEntry("writer", R"("role": "write", "tenant": "vision")") + "," +
                             TokenEntry("reader", R"("role": "read", "tenant": "vision")")));
    server::ServerOptions options;
    options.access_file = file;
    server_ = TestServer::Start(options);
    const Client client(server_->target(), {.token = "operator"});
    ASSERT_THAT(client.Create(SmallLayer("vision-up", 1)), IsOk());
    ASSERT_THAT(client.Create(SmallLayer("nlp-up", 1)), IsOk());
  }

  InferenceClient Calls(const std::string& token) {
    return InferenceClient(server_->target(), token);
  }

  const TempFolder folder_;
  std::unique_ptr<TestServer> server_;
};

TEST_F(InferenceAccessTest, OnlyTheHealthOfTheServerIsForEverybody) {
  const auto channel = OpenChannel(server_->target());
  for (const char* method : kMethods) {
    EXPECT_EQ(RawUnaryCall(channel, Path(method), "").error_code(),
              grpc::StatusCode::UNAUTHENTICATED)
        << method;
  }
  EXPECT_EQ(RawUnaryCall(channel, Path("ServerLive"), "").error_code(), grpc::StatusCode::OK);
  EXPECT_EQ(RawUnaryCall(channel, Path("ServerReady"), "").error_code(), grpc::StatusCode::OK);
  RawStream stream(channel, Path("ModelStreamInfer"), {});
  EXPECT_EQ(stream.AwaitEnd().error_code(), grpc::StatusCode::UNAUTHENTICATED);
}

TEST_F(InferenceAccessTest, ReadersInferAndDoNotUnload) {
  InferenceClient reader = Calls("reader");
  EXPECT_THAT(reader.Infer(InferRequestOf("vision-up", SmallInput())), IsOk());
  const auto unload = ForModel<inference::RepositoryModelUnloadRequest>("vision-up");
  const auto load = ForModel<inference::RepositoryModelLoadRequest>("vision-up");
  EXPECT_THAT(reader.Call(&Stub::RepositoryModelUnload, unload),
              StatusIs(StatusCode::kPermissionDenied));
  EXPECT_THAT(reader.Call(&Stub::RepositoryModelLoad, load),
              StatusIs(StatusCode::kPermissionDenied));
  InferenceClient writer = Calls("writer");
  EXPECT_THAT(writer.Call(&Stub::RepositoryModelUnload, unload), IsOk());
  EXPECT_THAT(writer.Call(&Stub::RepositoryModelLoad, load), IsOk());
}

TEST_F(InferenceAccessTest, AChainIsLoadedAndUnloadedByWhoMayUseAllItsLayers) {
  const Client admin(server_->target(), {.token = "operator"});
  ASSERT_THAT(admin.CreateChain("vision-chain", {"nlp-up"}), IsOk());
  auto unload = ForModel<inference::RepositoryModelUnloadRequest>("vision-chain");
  (*unload.mutable_parameters())["unload_dependents"].set_bool_param(true);
  const auto load = ForModel<inference::RepositoryModelLoadRequest>("vision-chain");
  InferenceClient writer = Calls("writer");
  EXPECT_THAT(writer.Call(&Stub::RepositoryModelUnload, unload),
              StatusIs(StatusCode::kPermissionDenied));
  EXPECT_THAT(writer.Call(&Stub::RepositoryModelLoad, load),
              StatusIs(StatusCode::kPermissionDenied));
  InferenceClient all = Calls("operator");
  EXPECT_THAT(all.Call(&Stub::RepositoryModelUnload, unload), IsOk());
  EXPECT_THAT(all.Infer(InferRequestOf("nlp-up", SmallInput())),
              StatusIs(StatusCode::kUnavailable));
  EXPECT_THAT(all.Call(&Stub::RepositoryModelLoad, load), IsOk());
  EXPECT_THAT(all.Infer(InferRequestOf("vision-chain", SmallInput())), IsOk());
}

TEST_F(InferenceAccessTest, ATenantSeesNothingOfOthers) {
  InferenceClient writer = Calls("writer");
  EXPECT_THAT(writer.Infer(InferRequestOf("nlp-up", SmallInput())),
              StatusIs(StatusCode::kPermissionDenied));
  EXPECT_THAT(writer.Call(&Stub::ModelReady, Named<inference::ModelReadyRequest>("nlp-up")),
              StatusIs(StatusCode::kPermissionDenied));
  EXPECT_THAT(
      writer.Call(&Stub::ModelStatistics, Named<inference::ModelStatisticsRequest>("nlp-up")),
      StatusIs(StatusCode::kPermissionDenied));
  EXPECT_THAT(writer.Call(&Stub::RepositoryModelUnload,
                          ForModel<inference::RepositoryModelUnloadRequest>("nlp-up")),
              StatusIs(StatusCode::kPermissionDenied));
  const auto index = writer.Call(&Stub::RepositoryIndex, inference::RepositoryIndexRequest());
  ASSERT_EQ(index->models_size(), 1);
  EXPECT_EQ(index->models(0).name(), "vision-up");
  const auto statistics = writer.Call(&Stub::ModelStatistics, inference::ModelStatisticsRequest());
  ASSERT_EQ(statistics->model_stats_size(), 1);
  EXPECT_EQ(statistics->model_stats(0).name(), "vision-up");
}

}  // namespace
}  // namespace tconv::testing
