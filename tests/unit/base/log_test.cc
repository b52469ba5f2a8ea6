#include "server/base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <functional>
#include <string>

#include <nlohmann/json.hpp>

#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::StatusIs;

// What `write` logs, as a process logs that was set up in this way.
std::string LinesOf(LogFormat format, const std::string& level,
                    const std::function<void()>& write) {
  ::testing::internal::CaptureStderr();
  EXPECT_TRUE(SetUpLog(format, level).ok());
  write();
  spdlog::default_logger()->flush();
  spdlog::drop_all();
  return ::testing::internal::GetCapturedStderr();
}

nlohmann::json JsonOf(const std::function<void()>& write) {
  return nlohmann::json::parse(LinesOf(LogFormat::kJson, "info", write));
}

TEST(LogTest, AJsonLineHasTheMessage) {
  const auto line = JsonOf([] { spdlog::info("say \"a\\b\"\n"); });
  EXPECT_EQ(line["message"], "say \"a\\b\"\n");
  EXPECT_EQ(line["level"], "info");
  EXPECT_TRUE(line["thread"].is_number());
  EXPECT_TRUE(line["time"].is_string());
}

TEST(LogTest, ARecordIsMembersOfTheJsonObject) {
  const auto line = JsonOf([] {
    LogRecord(spdlog::level::err, "call", {{"layer", "a\"b\n"}, {"us", 12}, {"empty", ""}});
  });
  EXPECT_EQ(line["message"], "call");
  EXPECT_EQ(line["level"], "error");
  EXPECT_EQ(line["layer"], "a\"b\n");
  EXPECT_EQ(line["us"], 12);
  EXPECT_EQ(line["empty"], "");
}

TEST(LogTest, ARecordOfTextIsOneLine) {
  const std::string line = LinesOf(LogFormat::kText, "info", [] {
    LogRecord(spdlog::level::info, "call",
              {{"layer", "a b\nforged"}, {"code", "OK"}, {"us", -3}, {"empty", ""}});
  });
  EXPECT_THAT(line, HasSubstr(R"(call layer="a b\u000aforged" code=OK us=-3 empty="")"));
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
}

TEST(LogTest, ARecordBelowTheLevelIsNotWritten) {
  for (const LogFormat format : {LogFormat::kText, LogFormat::kJson}) {
    EXPECT_THAT(LinesOf(format, "warning", [] { LogRecord(spdlog::level::info, "call", {}); }),
                IsEmpty());
  }
}

TEST(LogTest, TheLevelCanBeChangedWhileItLogs) {
  for (const LogFormat format : {LogFormat::kText, LogFormat::kJson}) {
    const std::string lines = LinesOf(format, "error", [] {
      EXPECT_EQ(LogLevel(), "error");
      EXPECT_TRUE(SetLogLevel("debug").ok());
      EXPECT_EQ(LogLevel(), "debug");
      LogRecord(spdlog::level::debug, "a record", {});
      spdlog::debug("a sentence");
      EXPECT_TRUE(SetLogLevel("off").ok());
      spdlog::critical("unheard");
    });
    EXPECT_THAT(lines, HasSubstr("a record"));
    EXPECT_THAT(lines, HasSubstr("a sentence"));
    EXPECT_THAT(lines, Not(HasSubstr("unheard")));
  }
}

TEST(LogTest, AnUnknownLevelIsRefusedByName) {
  EXPECT_THAT(SetUpLog(LogFormat::kText, "loud"),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("log-level")));
  EXPECT_THAT(SetLogLevel("loud"), StatusIs(StatusCode::kInvalidArgument, HasSubstr("\"loud\"")));
}

}  // namespace
}  // namespace tconv::server
