#include "server/telemetry/call_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace tconv::server {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kMethod[] = R"(grpc_method="Get",grpc_service="a.B",grpc_type="unary")";

class CallMetricsTest : public ::testing::Test {
 protected:
  Metrics metrics_;
  CallMetrics calls_{metrics_, 10};
};

TEST_F(CallMetricsTest, ACallIsCountedByMethodAndCode) {
  MethodMetrics& method = calls_.Of({"a.B", "Get"});
  method.CountStart();
  method.CountStart();
  method.CountEnd(StatusCode::kNotFound, 2ms, 10, 3);
  const std::string text = metrics_.Text();
  const auto value = [&](const std::string& name, const std::string& labels,
                         const std::string& expected) {
    EXPECT_THAT(text, HasSubstr(name + "{" + labels + "} " + expected + "\n"));
  };
  value("grpc_server_started_total", kMethod, "2");
  value("grpc_server_handled_total", std::string(R"(grpc_code="NOT_FOUND",)") + kMethod, "1");
  value("grpc_server_handled_total", std::string(R"(grpc_code="OK",)") + kMethod, "0");
  value("grpc_server_handling_seconds_bucket", std::string(kMethod) + R"(,le="0.001")", "0");
  value("grpc_server_handling_seconds_bucket", std::string(kMethod) + R"(,le="0.0025")", "1");
  value("grpc_server_handling_seconds_sum", kMethod, "0.002");
  value("tconv_received_bytes_total", kMethod, "10");
  value("tconv_sent_bytes_total", kMethod, "3");
}

TEST_F(CallMetricsTest, ACodeThatNobodyKnowsIsCountedAllTheSame) {
  calls_.Of({"a.B", "Get"}).CountEnd(static_cast<StatusCode>(99), 1ms, 0, 0);
  EXPECT_THAT(metrics_.Text(), HasSubstr("grpc_server_handling_seconds_count{"));
}

TEST_F(CallMetricsTest, AForwardTellsWhereItsTimeWent) {
  calls_.CountForward("up", {.strategy = "phase_conv"}, {1ms, 2ms, 30ms, 4ms});
  const std::string text = metrics_.Text();
  for (const char* sum : {R"(phase="queue"} 0.001)", R"(phase="plan"} 0.002)",
                          R"(phase="compute"} 0.03)", R"(phase="serialize"} 0.004)"}) {
    EXPECT_THAT(text, HasSubstr(std::string("tconv_forward_phase_seconds_sum{") + sum + "\n"));
  }
  EXPECT_THAT(text, HasSubstr("tconv_strategy_forwards_total{strategy=\"phase_conv\"} 1\n"));
}

TEST_F(CallMetricsTest, CallsOfABatchAreOneBatchAndShareItsTime) {
  for (int i = 0; i < 4; ++i) {
    calls_.CountForward("up", {.strategy = "phase_conv", .batch_calls = 4, .is_first_call = i == 0},
                        {.compute = 2s});
  }
  const std::string text = metrics_.Text();
  EXPECT_THAT(text, HasSubstr("tconv_layer_forwards_total{layer=\"up\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("tconv_layer_compute_seconds_total{layer=\"up\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("\ntconv_forward_batch_calls_count 1\n"));
  EXPECT_THAT(text, HasSubstr("\ntconv_forward_batch_calls_sum 4\n"));
}

TEST_F(CallMetricsTest, AnEmptyOutputIsComputedByNoStrategy) {
  calls_.CountForward("up", {}, {});
  const std::string text = metrics_.Text();
  EXPECT_THAT(text, HasSubstr("tconv_layer_forwards_total{layer=\"up\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("tconv_strategy_forwards_total{")));
}

}  // namespace
}  // namespace tconv::server
