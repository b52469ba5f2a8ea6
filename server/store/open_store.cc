#include "server/store/open_store.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <iterator>
#include <limits>
#include <optional>
#include <string_view>

#include "server/store/memory_store.h"
#include "server/store/postgres_address.h"
#include "server/store/postgres_store.h"
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

using Store = StatusOr<std::unique_ptr<LayerStore>>;

// `address` is the whole one, `rest` what follows its first colon.
Store OpenSqlite(const std::string& /*address*/, const std::string& rest) {
  if (rest.empty()) return InvalidField("store", "expected a path after \"sqlite:\"");
  return OpenSqliteStore(rest);
}

Store OpenPostgres(const std::string& address, const std::string& /*rest*/) {
  return OpenPostgresStore(address);
}

Store OpenMemory(const std::string& /*address*/, const std::string& rest) {
  const std::optional<int64_t> max_bytes = rest.empty() ? kDefaultMemoryBytes : ParseSize(rest);
  if (!max_bytes.has_value()) {
    return InvalidField(
        "store", "expected nothing or a size like 512MiB after \"memory:\", got \"{}\"", rest);
  }
  return std::make_unique<MemoryStore>(*max_bytes);
}

std::string NameOfPostgres(const std::string& address) {
  const StatusOr<PostgresAddress> parsed = ParsePostgresAddress(address);
  return parsed.ok() ? parsed->name : "postgres";
}

std::string WholeAddress(const std::string& address) { return address; }

struct Scheme {
  std::string_view name;
  std::string_view form;
  Store (*open)(const std::string& address, const std::string& rest);
  std::string (*name_of)(const std::string& address);
};

constexpr Scheme kSchemes[] = {
    {"sqlite", "sqlite:/path", OpenSqlite, WholeAddress},
    {"postgres", "postgres://host/database", OpenPostgres, NameOfPostgres},
    {"postgresql", "postgresql://host/database", OpenPostgres, NameOfPostgres},
    {"memory", "memory:[SIZE]", OpenMemory, WholeAddress},
};

const Scheme* FindScheme(const std::string& address) {
  const std::string_view name = std::string_view(address).substr(0, address.find(':'));
  if (name.size() == address.size()) return nullptr;
  const auto* const found = std::ranges::find(kSchemes, name, &Scheme::name);
  return found == std::end(kSchemes) ? nullptr : found;
}

}  // namespace

StatusOr<std::unique_ptr<LayerStore>> OpenStore(const std::string& address) {
  const size_t colon = address.find(':');
  if (const Scheme* const scheme = FindScheme(address); scheme != nullptr) {
    return scheme->open(address, address.substr(colon + 1));
  }
  std::string known;
  for (const Scheme& scheme : kSchemes) {
    known += (known.empty() ? "" : ", ") + std::string(scheme.form);
  }
  // What follows a colon may be a password.
  return InvalidField("store", "expected one of {}; got \"{}\"{}", known, address.substr(0, colon),
                      colon == std::string::npos ? "" : " before the first colon");
}

std::string NameOfStore(const std::string& address) {
  const Scheme* const scheme = FindScheme(address);
  return scheme == nullptr ? "" : scheme->name_of(address);
}

}  // namespace tconv::server
