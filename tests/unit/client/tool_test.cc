#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/cli/json.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/client/tool_fixture.h"

namespace tconv::cli {
namespace {

using ::testing::_;
using ::testing::AllOf;
using ::testing::DoAll;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Property;
using ::testing::Return;
using ::testing::SaveArg;

TEST_F(ToolTest, TellsScriptsTheKindOfFailure) {
  struct Case {
    absl::StatusCode code;
    int exit_code;
  };
  const Case kCases[] = {
      {absl::StatusCode::kInvalidArgument, 3}, {absl::StatusCode::kNotFound, 4},
      {absl::StatusCode::kUnavailable, 5},     {absl::StatusCode::kDeadlineExceeded, 5},
      {absl::StatusCode::kAlreadyExists, 6},   {absl::StatusCode::kFailedPrecondition, 6},
      {absl::StatusCode::kAborted, 6},         {absl::StatusCode::kResourceExhausted, 7},
      {absl::StatusCode::kInternal, 1},        {absl::StatusCode::kDataLoss, 1},
  };
  for (const Case& c : kCases) {
    EXPECT_CALL(*connection_, Delete).WillOnce(Return(absl::Status(c.code, "because")));
    EXPECT_EQ(Run({"delete", "up1"}), c.exit_code);
    EXPECT_EQ(err(), "tconv: because\n");
    EXPECT_THAT(out(), IsEmpty());
  }
}

TEST_F(ToolTest, SaysWhoCallsWithoutShowingTheToken) {
  EXPECT_CALL(*connection_, Delete).WillRepeatedly(Return(absl::PermissionDeniedError("no")));
  EXPECT_EQ(Run({"--token-file", "/secret/token", "delete", "up1"}), 8);
  EXPECT_EQ(options_.token_file, "/secret/token");
  EXPECT_EQ(options_.credentials, nullptr);
  EXPECT_FALSE(options_.allow_plaintext_token);
  EXPECT_EQ(Run({"--tls", "--allow-plaintext", "delete", "up1"}), 8);
  EXPECT_NE(options_.credentials, nullptr);
  EXPECT_TRUE(options_.allow_plaintext_token);
}

TEST_F(ToolTest, RefusesFilesForTlsThatItCannotRead) {
  EXPECT_EQ(Run({"--tls-ca", "/no/such/file", "delete", "up1"}), 3);
  EXPECT_THAT(err(), HasSubstr("/no/such/file"));
}

TEST_F(ToolTest, MakesTokensWithTheirEntries) {
  ASSERT_EQ(Run({"--json", "token", "trainer", "--role", "write", "--tenant", "vision"}), 0);
  const Json first = Json::parse(out());
  EXPECT_EQ(first["entry"]["name"], "trainer");
  EXPECT_EQ(first["entry"]["role"], "write");
  EXPECT_EQ(first["entry"]["tenant"], "vision");
  EXPECT_EQ(first["entry"]["sha256"].get<std::string>().size(), 64U);
  EXPECT_THAT(first["token"].get<std::string>(), ::testing::StartsWith("tconv_"));
  ASSERT_EQ(Run({"--json", "token", "reader", "--layers", "a-,b-"}), 0);
  const Json second = Json::parse(out());
  EXPECT_EQ(second["entry"]["layers"], Json({"a-", "b-"}));
  EXPECT_NE(second["token"], first["token"]);
}

TEST_F(ToolTest, WritesATokenForItsUserAlone) {
  const tconv::testing::TempFolder folder;
  const std::string file = folder / "token";
  ASSERT_EQ(Run({"token", "operator", "--role", "admin", "--out", file}), 0);
  const std::string token = tconv::testing::ReadFile(file);
  EXPECT_THAT(token, ::testing::StartsWith("tconv_"));
  EXPECT_THAT(out(), Not(HasSubstr("tconv_")));
  EXPECT_EQ(std::filesystem::status(file).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  EXPECT_EQ(Run({"token", "operator", "--role", "admin", "--out", file}), 1);
  EXPECT_EQ(tconv::testing::ReadFile(file), token);
}

TEST_F(ToolTest, RefusesTokensThatTheServerWouldRefuse) {
  EXPECT_EQ(Run({"token", "x"}), 2);
  EXPECT_EQ(Run({"token", "x", "--role", "root"}), 2);
  EXPECT_EQ(Run({"token", "x", "--role", "admin", "--tenant", "a"}), 2);
  EXPECT_EQ(Run({"token", "x", "--layers", "a", "--tenant", "a"}), 2);
}

TEST_F(ToolTest, RefusesWrongUsageWithoutCallingTheServer) {
  const std::vector<std::string> kCases[] = {
      {},
      {"explode"},
      {"get"},
      {"get", "up1", "--deadline", "-1"},
      {"create"},
      {"create", "--keras", "layer.json", "--filters", "3"},
      {"create", "--filters", "3", "--bias", "b.npy"},
      {"create", "--filters", "3", "--padding", "full"},
      {"create", "--filters", "3", "--kernel-size", "3,x"},
      {"create", "--filters", "3", "--kernel-size", "3,,3"},
      {"set-weights", "up1", "--kernel", "-", "--bias", "-"},
      {"set-weights", "up1"},
      {"bench", "up1"},
      {"bench", "up1", "--shape", "1,2,2,3", "--stream", "--unary"},
      {"bench", "up1", "--shape", "1,2,2,3", "--requests", "3", "--duration", "1"},
      {"bench", "up1", "--shape", "1,2,2,3", "--concurrency", "0"},
      {"demo", "--input", "a.png", "--output", "b.png", "--scale", "9"},
  };
  for (const auto& arguments : kCases) {
    EXPECT_EQ(Run(arguments), 2) << ::testing::PrintToString(arguments);
    EXPECT_NE(err(), "");
  }
}

TEST_F(ToolTest, TakesGlobalOptionsBeforeAndAfterTheCommand) {
  EXPECT_CALL(*connection_, CheckHealth("", _)).Times(2).WillRepeatedly(Return(absl::OkStatus()));
  EXPECT_EQ(Run({"--server", "unix:/a", "--deadline", "1.5", "health"}), 0);
  EXPECT_EQ(target_, "unix:/a");
  EXPECT_EQ(options_.timeout, std::chrono::milliseconds(1500));
  EXPECT_EQ(Run({"health", "--server", "b:1"}), 0);
  EXPECT_EQ(target_, "b:1");
  EXPECT_EQ(options_.timeout, std::chrono::seconds(60));
}

TEST_F(ToolTest, PrintsErrorsAsJsonForScripts) {
  EXPECT_CALL(*connection_, Get).WillOnce(Return(absl::NotFoundError("no layer \"up1\"")));
  EXPECT_EQ(Run({"get", "up1", "--json"}), 4);
  EXPECT_EQ(err(), R"({"error":{"code":"NOT_FOUND","message":"no layer \"up1\"","fields":[]}})"
                   "\n");
}

TEST_F(ToolTest, CreatesFromKerasJsonOnStandardInput) {
  NewLayer layer;
  EXPECT_CALL(*connection_, Create).WillOnce(DoAll(SaveArg<0>(&layer), Return(v1::Layer())));
  EXPECT_EQ(Run({"create", "--keras", "-", "--name", "up1", "--input-shape", "None,?,-1,3"},
                "{\"filters\": 3}"),
            0);
  EXPECT_EQ(layer.name, "up1");
  EXPECT_EQ(std::get<KerasJson>(layer.definition).text, "{\"filters\": 3}");
  EXPECT_THAT(layer.input_shape, ElementsAre(-1, -1, -1, 3));
}

TEST_F(ToolTest, CreatesFromFlags) {
  NewLayer layer;
  EXPECT_CALL(*connection_, Create).WillOnce(DoAll(SaveArg<0>(&layer), Return(v1::Layer())));
  EXPECT_EQ(Run({"create",
                 "--class",
                 "Conv1DTranspose",
                 "--filters",
                 "8",
                 "--kernel-size",
                 "5",
                 "--strides",
                 "2",
                 "--padding",
                 "same",
                 "--output-padding",
                 "1",
                 "--data-format",
                 "channels_first",
                 "--dilation-rate",
                 "1",
                 "--activation",
                 "relu",
                 "--no-bias",
                 "--dtype",
                 "float64"}),
            0);
  v1::LayerConfig expected;
  expected.set_class_name("Conv1DTranspose");
  expected.set_filters(8);
  expected.add_kernel_size(5);
  expected.add_strides(2);
  expected.set_padding(v1::PADDING_SAME);
  expected.add_output_padding(1);
  expected.set_data_format(v1::DATA_FORMAT_CHANNELS_FIRST);
  expected.add_dilation_rate(1);
  expected.mutable_activation()->set_name("relu");
  expected.set_use_bias(false);
  expected.set_dtype("float64");
  EXPECT_EQ(std::get<v1::LayerConfig>(layer.definition).SerializeAsString(),
            expected.SerializeAsString());
}

TEST_F(ToolTest, SetsWeightsFromStandardInput) {
  NewWeights weights;
  EXPECT_CALL(*connection_, SetWeights("up1", _, _))
      .WillOnce(DoAll(SaveArg<1>(&weights), Return(3)));
  const Tensor kernel = *Tensor::FromValues<float>({1, 1, 1}, {2});
  EXPECT_EQ(
      Run({"set-weights", "up1", "--kernel", "-", "--if-version", "2", "--json"}, NpyOf(kernel)),
      0);
  EXPECT_EQ(weights.if_version, 2);
  EXPECT_EQ(weights.weights.kernel.shape(), kernel.shape());
  EXPECT_EQ(weights.weights.kernel.bytes(), kernel.bytes());
  EXPECT_EQ(weights.weights.bias, std::nullopt);
  EXPECT_EQ(out(), "{\"name\":\"up1\",\"weights_version\":3}\n");
}

TEST_F(ToolTest, ForwardWritesDataToStandardOutputAndTheReportToStandardError) {
  const Tensor tensor = *Tensor::FromValues<float>({1, 1, 1}, {2});
  v1::Loss loss;
  loss.set_source(v1::LOSS_SOURCE_KERNEL);
  loss.set_value(0.25);
  EXPECT_CALL(*connection_, Forward("up1", _,
                                    AllOf(Field(&ForwardOptions::compute_losses, true),
                                          Field(&ForwardOptions::min_version, 3))))
      .WillOnce(Return(ForwardResult{.output = tensor, .losses = {loss}}));
  EXPECT_EQ(Run({"forward", "up1", "--input", "-", "--output", "-", "--losses", "--min-version",
                 "3", "--json"},
                NpyOf(tensor)),
            0);
  EXPECT_EQ(out(), NpyOf(tensor));
  const Json report = Json::parse(err());
  EXPECT_EQ(report["output"], Json({{"dtype", "float32"}, {"shape", {1, 1, 1}}}));
  EXPECT_EQ(report["losses"], Json::array({{{"source", "kernel"}, {"value", 0.25}}}));
}

TEST_F(ToolTest, BenchCountsCallsAndErrorsAndTellsTheTimeOfTheServer) {
  const ForwardResult answer{.output = *Tensor::FromValues<float>({2}, {1, 2}),
                             .timing = ServerTiming{.queue = std::chrono::microseconds(5),
                                                    .compute = std::chrono::microseconds(700)}};
  const auto is_stream = Field(&ForwardOptions::transfer, Transfer::kStream);
  EXPECT_CALL(*connection_,
              Forward("up1", Property(&Tensor::shape, ElementsAre(1, 2, 2, 3)), is_stream))
      .Times(2 + 7)
      .WillOnce(Return(answer))
      .WillOnce(Return(answer))
      .WillOnce(Return(absl::ResourceExhaustedError("busy")))
      .WillRepeatedly(Return(answer));
  EXPECT_EQ(Run({"bench", "up1", "--shape", "1,2,2,3", "--concurrency", "3", "--requests", "7",
                 "--warm-up", "2", "--stream", "--json"}),
            0);
  const Json report = Json::parse(out());
  EXPECT_EQ(report["calls"], 6);
  EXPECT_EQ(report["concurrency"], 3);
  EXPECT_EQ(report["errors"], Json({{"RESOURCE_EXHAUSTED", 1}}));
  EXPECT_EQ(report["server_median_seconds"]["compute"], 0.0007);
  EXPECT_LE(report["latency_seconds"]["p50"], report["latency_seconds"]["max"]);
  const double bytes =
      report["megabytes_per_second"].get<double>() * 1e6 * report["seconds"].get<double>();
  EXPECT_NEAR(bytes, 6 * (12 + 2) * 4, 1e-3);
}

TEST_F(ToolTest, BenchEndsAfterItsDuration) {
  EXPECT_CALL(*connection_, Forward).WillRepeatedly(Return(ForwardResult()));
  EXPECT_EQ(Run({"bench", "up1", "--shape", "1", "--duration", "0.01", "--warm-up", "0"}), 0);
  EXPECT_THAT(out(), HasSubstr("calls/s"));
  EXPECT_THAT(out(), Not(HasSubstr("server compute")));
}

TEST_F(ToolTest, BenchFailsWithTheErrorWhenNothingSucceeds) {
  EXPECT_CALL(*connection_, Forward).WillRepeatedly(Return(absl::NotFoundError("no up1")));
  EXPECT_EQ(Run({"bench", "up1", "--shape", "1", "--requests", "3"}), 4);
  EXPECT_EQ(Run({"bench", "up1", "--shape", "1", "--requests", "3", "--warm-up", "0", "--json"}),
            4);
  EXPECT_EQ(Json::parse(out())["errors"], Json({{"NOT_FOUND", 3}}));
}

TEST_F(ToolTest, NamesTheFileThatIsNotValid) {
  EXPECT_EQ(Run({"forward", "up1", "--input", "-", "--output", "y.npy"}, "no tensor"), 3);
  EXPECT_THAT(err(), HasSubstr("standard input: expected a .npy file"));
  EXPECT_EQ(Run({"forward", "up1", "--input", "/nonexistent/x.npy", "--output", "y.npy"}), 3);
  EXPECT_THAT(err(), HasSubstr("/nonexistent/x.npy: No such file or directory"));
}

TEST_F(ToolTest, RefusesToWriteABiasThatTheLayerDoesNotHave) {
  const VersionedWeights answer{.weights = {.kernel = *Tensor::FromValues<float>({1, 1, 1}, {2})}};
  EXPECT_CALL(*connection_, GetWeights).WillOnce(Return(answer));
  EXPECT_EQ(Run({"get-weights", "up1", "--kernel", "-", "--bias", "b.npy"}), 6);
  EXPECT_THAT(out(), IsEmpty());
}

TEST_F(ToolTest, ListsEveryPage) {
  v1::ListResponse first, second;
  first.add_layers()->set_name("a");
  first.set_next_page_token("more");
  second.add_layers()->set_name("b");
  EXPECT_CALL(*connection_, List).WillOnce(Return(first)).WillOnce(Return(second));
  EXPECT_EQ(Run({"list", "--json"}), 0);
  const Json list = Json::parse(out());
  ASSERT_EQ(list["layers"].size(), 2u);
  EXPECT_EQ(list["layers"][1]["name"], "b");
}

}  // namespace
}  // namespace tconv::cli
