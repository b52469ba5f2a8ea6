#include "server/rpc/call_observer.h"

#include <absl/strings/string_view.h>
#include <grpcpp/server_context.h>
#include <spdlog/spdlog.h>

#include <string_view>
#include <vector>

#include "proto/codec/stream_format.h"
#include "server/base/log.h"

namespace tconv::server {
namespace {

// Successes are told by kind, some of the reads stand for all; errors by whose task
// it is to do something about them: the caller's, or the operator's.
spdlog::level::level_enum LevelOf(StatusCode code, const Method& method) {
  switch (code) {
    case StatusCode::kOk:
      return method.kind != CallKind::kRead || method.telemetry->reads.TakesNext()
                 ? spdlog::level::info
                 : spdlog::level::debug;
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

std::string_view View(absl::string_view text) { return {text.data(), text.size()}; }

int64_t Micros(std::chrono::nanoseconds time) {
  return std::chrono::duration_cast<std::chrono::microseconds>(time).count();
}

}  // namespace

std::string ToText(const CallTimes& times) {
  return fmt::format("queue={},plan={},compute={},serialize={}", Micros(times.queue),
                     Micros(times.plan), Micros(times.compute), Micros(times.serialize));
}

CallObserver::CallObserver(const Method& method, std::optional<TraceContext> trace)
    : method_(method), trace_(std::move(trace)) {
  method_.metrics->CountStart();
}

void CallObserver::Finish(const Status& status) const {
  const std::chrono::nanoseconds time = Clock::now() - arrival_;
  method_.metrics->CountEnd(status.code(), time, request_bytes_, response_bytes_);
  if (forward_.has_value()) {
    method_.telemetry->CountForward({layer_, status.ok(), *forward_, times_, time});
  }
  Log(status, time);
}

void CallObserver::Log(const Status& status, std::chrono::nanoseconds time) const {
  const auto level = LevelOf(status.code(), method_);
  if (!spdlog::should_log(level)) return;
  const std::string code = absl::StatusCodeToString(status.code());
  std::vector<LogField> fields = {
      {"method", method_.name},
      {"layer", layer_},
      {"code", code},
      {"us", Micros(time)},
      {"queue_us", Micros(times_.queue)},
      {"plan_us", Micros(times_.plan)},
      {"compute_us", Micros(times_.compute)},
      {"serialize_us", Micros(times_.serialize)},
      {"bytes_in", request_bytes_},
      {"bytes_out", response_bytes_},
      {"copied_in", copied_in_},
      {"copied_out", copied_out_},
  };
  if (!caller_.empty()) fields.push_back({"caller", caller_});
  if (status.ok() && forward_.has_value()) {
    fields.push_back({"strategy", forward_->strategy});
    fields.push_back({"batch_calls", forward_->batch_calls});
  }
  if (trace_.has_value()) {
    fields.push_back({"trace_id", trace_->trace_id()});
    fields.push_back({"span_id", trace_->span_id()});
  }
  if (!status.ok()) fields.push_back({"error", View(status.message())});
  LogRecord(level, "call", fields);
}

void CallObserver::AddTrailersTo(grpc::CallbackServerContext& context) const {
  context.AddTrailingMetadata(codec::kTimingKey, ToText(times_));
  if (trace_.has_value()) context.AddTrailingMetadata(codec::kTraceparentKey, trace_->header());
}

}  // namespace tconv::server
