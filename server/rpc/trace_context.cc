#include "server/rpc/trace_context.h"

#include <grpcpp/server_context.h>

#include <algorithm>

#include "proto/codec/stream_format.h"

namespace tconv::server {
namespace {

// "00-" + 32 + "-" + 16 + "-" + 2.
constexpr size_t kHeaderSize = 55;
// Whatever a later version adds is not worth more.
constexpr size_t kMostHeaderSize = 256;

bool IsHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool IsId(std::string_view text) {
  return IsHex(text) && text.find_first_not_of('0') != std::string_view::npos;
}

bool HasValidTail(std::string_view version, std::string_view tail) {
  if (tail.empty()) return true;
  const bool is_printable =
      std::all_of(tail.begin(), tail.end(), [](char c) { return c >= ' ' && c <= '~'; });
  return version != "00" && tail.front() == '-' && is_printable;
}

}  // namespace

std::optional<TraceContext> TraceContext::Parse(std::string_view header) {
  if (header.size() < kHeaderSize || header.size() > kMostHeaderSize) return std::nullopt;
  const std::string_view version = header.substr(0, 2);
  if (!IsHex(version) || version == "ff" || !HasValidTail(version, header.substr(kHeaderSize))) {
    return std::nullopt;
  }
  if (header[2] != '-' || header[35] != '-' || header[52] != '-') return std::nullopt;
  const TraceContext trace(header);
  if (!IsId(trace.trace_id()) || !IsId(trace.span_id()) || !IsHex(header.substr(53, 2))) {
    return std::nullopt;
  }
  return trace;
}

std::optional<TraceContext> TraceOf(const grpc::CallbackServerContext& context) {
  const auto found = context.client_metadata().find(codec::kTraceparentKey);
  if (found == context.client_metadata().end()) return std::nullopt;
  return TraceContext::Parse({found->second.data(), found->second.size()});
}

}  // namespace tconv::server
