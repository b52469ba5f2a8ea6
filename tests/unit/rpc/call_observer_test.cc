#include "server/rpc/call_observer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <sstream>
#include <string>
#include <utility>

namespace tconv::server {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

class CallObserverTest : public ::testing::Test {
 protected:
  CallObserverTest() { LogFrom(spdlog::level::info); }

  void LogFrom(spdlog::level::level_enum level) {
    auto sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(log_);
    auto logger = std::make_shared<spdlog::logger>("test", std::move(sink));
    logger->set_pattern("%l %v");
    logger->set_level(level);
    spdlog::set_default_logger(std::move(logger));
  }

  Method MethodOf(CallKind kind) {
    return {.name = "Method",
            .kind = kind,
            .telemetry = &telemetry_,
            .metrics = &telemetry_.metrics.Of({"a.Service", "Method"})};
  }

  std::string LineOf(CallKind kind, const Status& status, const std::string& layer = "up",
                     std::optional<TraceContext> trace = std::nullopt) {
    const Method method = MethodOf(kind);
    CallObserver observer(method, std::move(trace));
    observer.set_layer(layer);
    observer.set_request_bytes(12);
    observer.set_copied_bytes(11, 4);
    observer.times() = {1us, 2us, 3ms, 4us};
    observer.set_response_bytes(34);
    observer.Finish(status);
    return std::exchange(log_, std::ostringstream()).str();
  }

  std::ostringstream log_;
  Metrics metrics_;
  CallTelemetry telemetry_{metrics_, {.access_log_sample = 0}};
};

TEST_F(CallObserverTest, AChangeIsOneLineOfTheEverydayLog) {
  EXPECT_THAT(LineOf(CallKind::kChange, OkStatus()),
              MatchesRegex("info call method=Method layer=up code=OK us=[0-9]+ queue_us=1 "
                           "plan_us=2 compute_us=3000 serialize_us=4 bytes_in=12 bytes_out=34 "
                           "copied_in=11 copied_out=4\n"));
}

TEST_F(CallObserverTest, NamesTheCallerWhoIsKnown) {
  const Method method = MethodOf(CallKind::kChange);
  CallObserver observer(method, std::nullopt);
  observer.set_caller("trainer");
  observer.Finish(OkStatus());
  EXPECT_THAT(log_.str(), HasSubstr(" caller=trainer"));
}

TEST_F(CallObserverTest, WhatAnAdministratorDoesIsALine) {
  EXPECT_THAT(LineOf(CallKind::kAdmin, OkStatus()), StartsWith("info call"));
}

TEST_F(CallObserverTest, AReadIsNotInTheEverydayLog) {
  EXPECT_THAT(LineOf(CallKind::kRead, OkStatus()), IsEmpty());
  LogFrom(spdlog::level::debug);
  EXPECT_THAT(LineOf(CallKind::kRead, OkStatus()), StartsWith("debug call"));
}

TEST_F(CallObserverTest, OneOfManyReadsStandsForTheOthers) {
  CallTelemetry sampled(metrics_, {.access_log_sample = 3});
  const Method method = {.name = "Method",
                         .telemetry = &sampled,
                         .metrics = &sampled.metrics.Of({"a.Service", "Method"})};
  std::string lines;
  for (int call = 0; call < 7; ++call) {
    CallObserver(method, std::nullopt).Finish(OkStatus());
    lines += log_.str().empty() ? '-' : '+';
    log_.str("");
  }
  EXPECT_EQ(lines, "+--+--+");
}

TEST_F(CallObserverTest, EveryErrorIsALineWithItsMessage) {
  EXPECT_THAT(LineOf(CallKind::kRead, InvalidField("x", "expected a, got b")),
              AllOf(StartsWith("info call"), HasSubstr("code=INVALID_ARGUMENT us="),
                    HasSubstr("error=\"x: expected a, got b\"")));
  EXPECT_THAT(LineOf(CallKind::kRead, Status(StatusCode::kCancelled, "gave up")),
              StartsWith("info call"));
  EXPECT_THAT(LineOf(CallKind::kRead, Status(StatusCode::kUnavailable, "ending")),
              StartsWith("warning call"));
  EXPECT_THAT(LineOf(CallKind::kRead, Status(StatusCode::kDataLoss, "damaged")),
              StartsWith("error call"));
}

TEST_F(CallObserverTest, NamesCannotBeginLines) {
  const std::string line = LineOf(CallKind::kChange, OkStatus(), "up\nerror forged");
  EXPECT_THAT(line, HasSubstr(R"(layer="up\u000aerror forged")"));
  EXPECT_THAT(line, Not(HasSubstr("\nerror")));
}

TEST_F(CallObserverTest, ALineNamesTheTraceOfItsCall) {
  EXPECT_THAT(
      LineOf(CallKind::kChange, OkStatus(), "up",
             TraceContext::Parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")),
      HasSubstr("trace_id=0af7651916cd43dd8448eb211c80319c span_id=b7ad6b7169203331"));
}

TEST_F(CallObserverTest, AForwardTellsHowItWasComputed) {
  LogFrom(spdlog::level::debug);
  const Method method = MethodOf(CallKind::kRead);
  CallObserver observer(method, std::nullopt);
  observer.set_layer("up");
  observer.set_forward({.strategy = "phase_conv", .batch_calls = 3});
  observer.Finish(OkStatus());
  EXPECT_THAT(log_.str(), HasSubstr("strategy=phase_conv batch_calls=3"));
  EXPECT_THAT(metrics_.Text(), HasSubstr("tconv_layer_forwards_total{layer=\"up\"} 1\n"));
}

TEST_F(CallObserverTest, NamesOfLayersThatNobodyComputedGetNoMetrics) {
  LineOf(CallKind::kRead, Status(StatusCode::kNotFound, "no such layer"), "invented");
  EXPECT_THAT(metrics_.Text(), Not(HasSubstr("invented")));
}

TEST_F(CallObserverTest, ACallIsCountedWhenItBeginsAndWhenItEnds) {
  const Method method = MethodOf(CallKind::kRead);
  const CallObserver observer(method, std::nullopt);
  EXPECT_THAT(metrics_.Text(), HasSubstr("grpc_server_started_total{grpc_method=\"Method\",grpc_"
                                         "service=\"a.Service\",grpc_type=\"unary\"} 1\n"));
  observer.Finish(Status(StatusCode::kNotFound, "no such layer"));
  EXPECT_THAT(metrics_.Text(),
              HasSubstr("grpc_server_handled_total{grpc_code=\"NOT_FOUND\",grpc_method=\"Method\","
                        "grpc_service=\"a.Service\",grpc_type=\"unary\"} 1\n"));
}

TEST(CallTimesTest, AreToldToCallersInMicroseconds) {
  EXPECT_EQ(ToText({12us, 3us, 840us, 5us}), "queue=12,plan=3,compute=840,serialize=5");
}

}  // namespace
}  // namespace tconv::server
