// What operators see of a running server: metrics, access log, traces.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <tconv/client.h>
#include <tconv/v1/transposed_conv.grpc.pb.h>

#include <cstdlib>
#include <memory>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include <nlohmann/json.hpp>

#include "tests/integration/raw_call.h"
#include "tests/support/small_layer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test_server.h"

namespace tconv::testing {
namespace {

using ::testing::Contains;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kTraceparent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

// The names of all metrics in a text.
std::set<std::string> NamesIn(const std::string& text, const std::regex& name) {
  std::set<std::string> names;
  for (std::sregex_iterator it(text.begin(), text.end(), name), end; it != end; ++it) {
    names.insert((*it)[1]);
  }
  return names;
}

class TelemetryTest : public ::testing::Test {
 protected:
  std::string Metrics() const { return server_->app().metrics().Text(); }

  // A layer that has been called in every way.
  void CallAll() {
    ASSERT_THAT(client_.Create(SmallLayer("up", 1)), IsOk());
    ASSERT_THAT(client_.SetWeights("up", SmallWeights(2)), IsOk());
    ASSERT_THAT(client_.GetWeights("up"), IsOk());
    ASSERT_THAT(client_.Forward("up", SmallInput()), IsOk());
    ASSERT_THAT(client_.Forward("up", SmallInput(), {.transfer = Transfer::kStream}), IsOk());
    ASSERT_THAT(client_.Get("gone"), StatusIs(absl::StatusCode::kNotFound));
  }

  const std::unique_ptr<TestServer> server_ = TestServer::Start();
  const Client client_{server_->target()};
};

TEST_F(TelemetryTest, CallsAreCountedByMethodAndCode) {
  CallAll();
  const std::string text = Metrics();
  const auto handled = [](const std::string& method, const std::string& code,
                          const std::string& type) {
    return "grpc_server_handled_total{grpc_code=\"" + code + "\",grpc_method=\"" + method +
           "\",grpc_service=\"tconv.v1.TransposedConvService\",grpc_type=\"" + type + "\"} 1\n";
  };
  EXPECT_THAT(text, HasSubstr(handled("Create", "OK", "unary")));
  EXPECT_THAT(text, HasSubstr(handled("Forward", "OK", "unary")));
  EXPECT_THAT(text, HasSubstr(handled("ForwardStream", "OK", "bidi_stream")));
  EXPECT_THAT(text, HasSubstr(handled("GetWeightsStream", "OK", "server_stream")));
  EXPECT_THAT(text, HasSubstr(handled("Get", "NOT_FOUND", "unary")));
}

TEST_F(TelemetryTest, ForwardsAreCountedHoweverTheyTravel) {
  CallAll();
  const std::string text = Metrics();
  EXPECT_THAT(text, HasSubstr("tconv_layer_forwards_total{layer=\"up\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("tconv_forward_phase_seconds_count{phase=\"compute\"} 2\n"));
  EXPECT_THAT(NamesIn(text, std::regex("tconv_strategy_forwards_total\\{strategy=\"(.*)\"\\} 2\n")),
              Not(::testing::IsEmpty()))
      << "both the same way";
}

TEST_F(TelemetryTest, CachesAndMemoryAreTold) {
  CallAll();
  const std::string text = Metrics();
  EXPECT_THAT(text, HasSubstr("\ntconv_layers 1\n"));
  EXPECT_THAT(text, HasSubstr("tconv_cache_entries{cache=\"weights\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("tconv_cache_requests_total{cache=\"plans\",result=\"build\"} 1\n"));
  // A kernel of 2 x 2 x 4 x 3 and a bias of 4 numbers.
  EXPECT_THAT(text, HasSubstr("tconv_memory_bytes{owner=\"weights\"} 208\n"));
  EXPECT_THAT(text, HasSubstr("tconv_queue_waiting_calls{queue=\"work\"} 0\n"));
}

TEST_F(TelemetryTest, PrometheusTakesWhatTheServerSays) {
  CallAll();
  const TempFolder folder;
  WriteFile(folder / "metrics", Metrics());
  const std::string command =
      TCONV_PROMTOOL " check metrics <" + (folder / "metrics") + " >" + (folder / "log") + " 2>&1";
  EXPECT_EQ(std::system(command.c_str()), 0) << ReadFile(folder / "log");
  EXPECT_EQ(ReadFile(folder / "log"), "");
}

TEST_F(TelemetryTest, AlertsAndDashboardAskForMetricsThatThereAre) {
  CallAll();
  const auto told = NamesIn(Metrics(), std::regex("# TYPE ([a-z_]+) "));
  for (const char* file : {"alerts.yaml", "grafana.json"}) {
    const std::string text = ReadFile(TCONV_SOURCE_DIR "/deploy/" + std::string(file));
    const auto asked = NamesIn(
        text, std::regex("\\b((?:tconv|grpc_server|process)_[a-z_]+?)(?:_bucket|_sum|_count)?[{]"));
    EXPECT_GE(asked.size(), 7u) << file;
    for (const std::string& name : asked) EXPECT_THAT(told, Contains(name)) << file;
  }
}

// As rules, which promtool reads; the variables of the dashboard get values.
std::string RulesOf(const nlohmann::json& panels) {
  nlohmann::json rules = nlohmann::json::array();
  for (const auto& panel : panels) {
    for (const auto& target : panel.value("targets", nlohmann::json::array())) {
      std::string expression = target["expr"];
      expression = std::regex_replace(expression, std::regex("\\$__rate_interval"), "5m");
      expression = std::regex_replace(expression, std::regex("\\$instance"), ".*");
      EXPECT_THAT(expression, Not(HasSubstr("$")));
      const std::string name = "of_dashboard:" + std::to_string(rules.size());
      rules.push_back({{"record", name}, {"expr", expression}});
    }
  }
  EXPECT_GE(rules.size(), 20u);
  // JSON is YAML, too.
  return nlohmann::json{{"groups", {{{"name", "dashboard"}, {"rules", rules}}}}}.dump();
}

TEST(DashboardTest, AsksInTheLanguageOfPrometheus) {
  const auto dashboard = nlohmann::json::parse(ReadFile(TCONV_SOURCE_DIR "/deploy/grafana.json"));
  const TempFolder folder;
  WriteFile(folder / "rules.yaml", RulesOf(dashboard["panels"]));
  const std::string command = TCONV_PROMTOOL " check rules --lint=none " + (folder / "rules.yaml") +
                              " >" + (folder / "log") + " 2>&1";
  EXPECT_EQ(std::system(command.c_str()), 0) << ReadFile(folder / "log");
}

TEST_F(TelemetryTest, EveryMetricIsDocumented) {
  CallAll();
  const std::string manual = ReadFile(TCONV_SOURCE_DIR "/docs/operations.md");
  for (const std::string& name : NamesIn(Metrics(), std::regex("# TYPE ([a-z_]+) "))) {
    EXPECT_THAT(manual, HasSubstr("`" + name + "`"));
  }
}

TEST_F(TelemetryTest, TheTraceOfACallIsInTheLogAndInTheAnswer) {
  std::ostringstream log;
  auto logger = std::make_shared<spdlog::logger>(
      "capture", std::make_shared<spdlog::sinks::ostream_sink_mt>(log));
  spdlog::set_default_logger(std::move(logger));
  const auto stub = v1::TransposedConvService::NewStub(OpenChannel(server_->target()));
  grpc::ClientContext context;
  context.AddMetadata("traceparent", kTraceparent);
  v1::GetRequest request;
  request.set_name("gone");
  v1::GetResponse response;
  EXPECT_EQ(stub->Get(&context, request, &response).error_code(), grpc::StatusCode::NOT_FOUND);
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto found = trailers.find("traceparent");
  ASSERT_NE(found, trailers.end());
  EXPECT_EQ(std::string(found->second.data(), found->second.size()), kTraceparent);
  EXPECT_THAT(client_.Get("lost", {.traceparent = kTraceparent}),
              StatusIs(absl::StatusCode::kNotFound));
  spdlog::default_logger()->set_level(spdlog::level::off);
  EXPECT_THAT(log.str(), ContainsRegex("layer=lost .* trace_id=0af7651916cd43dd8448eb211c80319c"));
  EXPECT_THAT(log.str(), HasSubstr("trace_id=0af7651916cd43dd8448eb211c80319c "
                                   "span_id=b7ad6b7169203331"));
}

TEST_F(TelemetryTest, TheLevelOfTheLogCanBeChangedByACall) {
  EXPECT_THAT(client_.SetLogLevel("error"), IsOkAndHolds("off"));
  EXPECT_THAT(client_.GetLogLevel(), IsOkAndHolds("error"));
  EXPECT_THAT(client_.SetLogLevel("loud"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("\"loud\"")));
  EXPECT_THAT(client_.SetLogLevel("off"), IsOkAndHolds("error"));
  EXPECT_THAT(Metrics(), HasSubstr("grpc_server_handled_total{grpc_code=\"OK\",grpc_method="
                                   "\"SetLogLevel\",grpc_service=\"tconv.v1.AdminService\","
                                   "grpc_type=\"unary\"} 2\n"));
}

}  // namespace
}  // namespace tconv::testing
