// The header of a trace, as any caller may send it: what is taken for one has the
// form that the log and others rely on.
#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "server/rpc/trace_context.h"

using tconv::server::TraceContext;

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

bool IsHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return std::isxdigit(c) != 0 && std::isupper(c) == 0; });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view header(reinterpret_cast<const char*>(data), size);
  const auto trace = TraceContext::Parse(header);
  if (!trace.has_value()) return 0;
  Require(trace->header() == header);
  Require(trace->trace_id().size() == 32 && IsHex(trace->trace_id()));
  Require(trace->span_id().size() == 16 && IsHex(trace->span_id()));
  Require(std::all_of(header.begin(), header.end(),
                      [](unsigned char c) { return std::isprint(c) != 0; }));
  return 0;
}
