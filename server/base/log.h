// The process's log. Sentences go through spdlog's default logger, records of many
// values through LogRecord().
#pragma once

#include <spdlog/common.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "server/base/status.h"

namespace tconv::server {

enum class LogFormat { kText, kJson };

// Lines go to stderr, from `level` ("trace", "debug", "info", "warning",
// "error", "critical", "off") upwards. JSON lines have the keys time, level,
// thread and message; the message is escaped. Not thread-safe: call it before
// threads start. INVALID_ARGUMENT for an unknown level.
Status SetUpLog(LogFormat format, const std::string& level);

// From now on lines are written from `level` upwards. INVALID_ARGUMENT about `level`.
// Thread-safe, as is everything below.
Status SetLogLevel(const std::string& level);
std::string LogLevel();

// A value of a record, with a name. Both outlive the call that logs them.
struct LogField {
  std::string_view key;
  std::variant<int64_t, std::string_view> value;
};

// Writes `message` and the fields as one line: as members of the JSON object, or
// behind the message as key=value, where text is quoted and escaped unless it is
// one plain word. Callers may have chosen the values: they cannot begin a line.
void LogRecord(spdlog::level::level_enum level, std::string_view message,
               const std::vector<LogField>& fields);

}  // namespace tconv::server
