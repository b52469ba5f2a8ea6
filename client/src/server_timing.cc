#include "client/src/server_timing.h"

#include <charconv>
#include <chrono>
#include <cstdint>

namespace tconv {
namespace {

// Null for words that mean nothing to us.
std::chrono::microseconds* FieldOf(ServerTiming& timing, std::string_view key) {
  if (key == "queue") return &timing.queue;
  if (key == "plan") return &timing.plan;
  if (key == "compute") return &timing.compute;
  if (key == "serialize") return &timing.serialize;
  return nullptr;
}

}  // namespace

std::optional<ServerTiming> ParseServerTiming(std::string_view text) {
  ServerTiming timing;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(','));
    text.remove_prefix(word.size() < text.size() ? word.size() + 1 : word.size());
    const size_t equals = word.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    std::chrono::microseconds* const field = FieldOf(timing, word.substr(0, equals));
    if (field == nullptr) continue;
    int64_t value = -1;
    const char* const end = word.data() + word.size();
    const auto parsed = std::from_chars(word.data() + equals + 1, end, value);
    if (parsed.ec != std::errc() || parsed.ptr != end || value < 0) return std::nullopt;
    *field = std::chrono::microseconds(value);
  }
  return timing;
}

}  // namespace tconv
