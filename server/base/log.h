// Set-up of the process's log. Everything logs through spdlog's default logger.
#pragma once

#include <string>

#include "server/base/status.h"

namespace tconv::server {

enum class LogFormat { kText, kJson };

// Lines go to stderr, from `level` ("trace", "debug", "info", "warning",
// "error", "critical", "off") upwards. JSON lines have the keys time, level,
// thread and message; the message is escaped. Not thread-safe: call it before
// threads start. INVALID_ARGUMENT for an unknown level.
Status SetUpLog(LogFormat format, const std::string& level);

}  // namespace tconv::server
