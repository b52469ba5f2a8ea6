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

int64_t Micros(std::chrono::nanoseconds time) {
  return std::chrono::duration_cast<std::chrono::microseconds>(time).count();
}

}  // namespace

std::string ToText(const CallTimes& times) {
  return fmt::format("queue={},plan={},compute={},serialize={}", Micros(times.queue),
                     Micros(times.plan), Micros(times.compute), Micros(times.serialize));
}

void CallObserver::Finish(const Status& status) const {
  const auto level = LevelOf(status.code(), kind_);
  if (!spdlog::should_log(level)) return;
  std::string line = fmt::format(
      "{} layer=\"{}\" code={} us={} queue_us={} plan_us={} compute_us={} serialize_us={} "
      "bytes_in={} bytes_out={} copied_in={} copied_out={}",
      method_, OnOneLine(layer_), std::string(absl::StatusCodeToString(status.code())),
      Micros(Clock::now() - arrival_), Micros(times_.queue), Micros(times_.plan),
      Micros(times_.compute), Micros(times_.serialize), request_bytes_, response_bytes_, copied_in_,
      copied_out_);
  if (!status.ok()) line += fmt::format(" error={}", OnOneLine(std::string(status.message())));
  spdlog::log(level, "{}", line);
}

}  // namespace tconv::server
