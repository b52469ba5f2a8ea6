#include "server/rpc/call_observer.h"

#include <absl/strings/string_view.h>
#include <spdlog/spdlog.h>

namespace tconv::server {
namespace {

// Successes are told by kind; errors by whose task it is to do something about
// them: nobody's (the caller has gone), the caller's, or the operator's.
spdlog::level::level_enum LevelOf(StatusCode code, CallKind kind) {
  switch (code) {
    case StatusCode::kOk:
      return kind == CallKind::kChange ? spdlog::level::info : spdlog::level::debug;
    case StatusCode::kCancelled:
      return spdlog::level::debug;
    case StatusCode::kUnavailable:
    case StatusCode::kResourceExhausted:
    case StatusCode::kDeadlineExceeded:
      return spdlog::level::warn;
    case StatusCode::kInternal:
    case StatusCode::kDataLoss:
    case StatusCode::kUnknown:
      return spdlog::level::err;
    default:
      return spdlog::level::info;
  }
}

// Names and messages repeat what callers sent: a line break in them must not
// begin a line of the log.
std::string OnOneLine(std::string_view text) {
  std::string line;
  line.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      fmt::format_to(std::back_inserter(line), "\\x{:02x}", byte);
    } else {
      line.push_back(c);
    }
  }
  return line;
}

}  // namespace

CallObserver::CallObserver(std::string_view method, CallKind kind, int64_t request_bytes)
    : method_(method), kind_(kind), request_bytes_(request_bytes) {}

void CallObserver::Finish(const Status& status) const {
  const auto level = LevelOf(status.code(), kind_);
  if (!spdlog::should_log(level)) return;
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now() - arrival_);
  std::string line =
      fmt::format("{} layer=\"{}\" code={} us={} bytes_in={} bytes_out={}", method_,
                  OnOneLine(layer_), std::string(absl::StatusCodeToString(status.code())),
                  micros.count(), request_bytes_, response_bytes_);
  if (!status.ok()) line += fmt::format(" error={}", OnOneLine(std::string(status.message())));
  spdlog::log(level, "{}", line);
}

}  // namespace tconv::server
