#include "server/rpc/call_observer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <sstream>
#include <string>

namespace tconv::server {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

class CallObserverTest : public ::testing::Test {
 protected:
  CallObserverTest() {
    auto sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(log_);
    auto logger = std::make_shared<spdlog::logger>("test", std::move(sink));
    logger->set_pattern("%l %v");
    logger->set_level(spdlog::level::info);
    spdlog::set_default_logger(std::move(logger));
  }

  std::string LineOf(CallKind kind, const Status& status, const std::string& layer = "up") {
    CallObserver observer("Method", kind);
    observer.set_layer(layer);
    observer.set_request_bytes(12);
    observer.set_copied_bytes(11, 4);
    observer.times() = {1us, 2us, 3ms, 4us};
    observer.set_response_bytes(34);
    observer.Finish(status);
    return log_.str();
  }

  std::ostringstream log_;
};

TEST_F(CallObserverTest, AChangeIsOneLineOfTheEverydayLog) {
  EXPECT_THAT(LineOf(CallKind::kChange, OkStatus()),
              MatchesRegex("info Method layer=\"up\" code=OK us=[0-9]+ queue_us=1 plan_us=2 "
                           "compute_us=3000 serialize_us=4 bytes_in=12 bytes_out=34 copied_in=11 "
                           "copied_out=4\n"));
}

TEST_F(CallObserverTest, AReadIsNotInTheEverydayLog) {
  EXPECT_THAT(LineOf(CallKind::kRead, OkStatus()), IsEmpty());
}

TEST_F(CallObserverTest, AnErrorIsTellingItsMessage) {
  EXPECT_THAT(LineOf(CallKind::kRead, InvalidField("x", "expected a, got b")),
              HasSubstr("code=INVALID_ARGUMENT us="));
  EXPECT_THAT(log_.str(), HasSubstr("error=x: expected a, got b"));
}

TEST_F(CallObserverTest, AnErrorOfTheServerIsAnError) {
  EXPECT_THAT(LineOf(CallKind::kRead, Status(StatusCode::kDataLoss, "damaged")),
              StartsWith("error Method"));
}

TEST_F(CallObserverTest, NamesCannotBeginLines) {
  const std::string line = LineOf(CallKind::kChange, OkStatus(), "up\nerror forged");
  EXPECT_THAT(line, HasSubstr("layer=\"up\\x0aerror forged\""));
  EXPECT_THAT(line, Not(HasSubstr("\nerror")));
}

TEST(CallTimesTest, AreToldToCallersInMicroseconds) {
  EXPECT_EQ(ToText({12us, 3us, 840us, 5us}), "queue=12,plan=3,compute=840,serialize=5");
}

}  // namespace
}  // namespace tconv::server
