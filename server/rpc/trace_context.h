// The trace that a call is part of.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <optional>
#include <string>
#include <string_view>

namespace tconv::server {

// The header of W3C Trace Context, as it came: "00-<trace id>-<span id>-<flags>".
class TraceContext {
 public:
  // Nothing unless `header` is as the standard has it; then a trace is as good as
  // absent. Later versions may have more behind the flags.
  static std::optional<TraceContext> Parse(std::string_view header);

  const std::string& header() const { return header_; }
  std::string_view trace_id() const { return std::string_view(header_).substr(3, 32); }
  // Of the caller.
  std::string_view span_id() const { return std::string_view(header_).substr(36, 16); }

 private:
  explicit TraceContext(std::string_view header) : header_(header) {}

  std::string header_;
};

// In the metadata of a call.
std::optional<TraceContext> TraceOf(const grpc::CallbackServerContext& context);

}  // namespace tconv::server
