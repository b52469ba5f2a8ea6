#include "server/store/open_store.h"

#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

#include "server/store/memory_store.h"
#include "server/store/sqlite_store.h"

namespace tconv::server {
namespace {

constexpr int64_t kDefaultMemoryBytes = int64_t{4} << 30;

// "64MiB"; nothing when the text is not a size > 0.
std::optional<int64_t> ParseSize(std::string_view text) {
  int64_t count = 0;
  const char* end = text.data() + text.size();
  const auto [unit_begin, error] = std::from_chars(text.data(), end, count);
  if (error != std::errc() || count <= 0) return std::nullopt;
  const std::string_view unit(unit_begin, static_cast<size_t>(end - unit_begin));

  int64_t factor = 1;
  for (const std::string_view known : {"B", "KiB", "MiB", "GiB", "TiB"}) {
    if (unit == known) {
      if (count > std::numeric_limits<int64_t>::max() / factor) return std::nullopt;
      return count * factor;
    }
    factor *= 1024;
  }
  return std::nullopt;
}

StatusOr<std::unique_ptr<LayerStore>> OpenSqlite(const std::string& path) {
  if (path.empty()) return InvalidField("store", "expected a path after \"sqlite:\"");
  return OpenSqliteStore(path);
}

StatusOr<std::unique_ptr<LayerStore>> OpenMemory(const std::string& size) {
  const std::optional<int64_t> max_bytes = size.empty() ? kDefaultMemoryBytes : ParseSize(size);
  if (!max_bytes.has_value()) {
    return InvalidField(
        "store", "expected nothing or a size like 512MiB after \"memory:\", got \"{}\"", size);
  }
  return std::make_unique<MemoryStore>(*max_bytes);
}

struct Scheme {
  std::string_view name;
  std::string_view form;
  // Gets what follows the colon.
  StatusOr<std::unique_ptr<LayerStore>> (*open)(const std::string& rest);
};

constexpr Scheme kSchemes[] = {
    {"sqlite", "sqlite:/path", OpenSqlite},
    {"memory", "memory:[SIZE]", OpenMemory},
};

}  // namespace

StatusOr<std::unique_ptr<LayerStore>> OpenStore(const std::string& address) {
  std::string known;
  for (const Scheme& scheme : kSchemes) {
    const std::string prefix = std::string(scheme.name) + ":";
    if (address.starts_with(prefix)) return scheme.open(address.substr(prefix.size()));
    known += (known.empty() ? "" : ", ") + std::string(scheme.form);
  }
  return InvalidField("store", "expected one of {}; got \"{}\"", known, address);
}

}  // namespace tconv::server
