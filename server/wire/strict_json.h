// JSON from strangers: bounded, without the leniencies of the usual parsers.
// Used by sources alone, so that no header elsewhere shows the JSON library.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "server/base/status.h"

namespace tconv::server {

inline constexpr size_t kMaxJsonBytes = size_t{1} << 20;
inline constexpr size_t kMaxJsonDepth = 64;

// The one value that `text` holds. INVALID_ARGUMENT, without a field, for what
// RFC 8259 does not allow (NaN, trailing text, ill-formed UTF-8), for duplicate
// keys, of which other parsers silently take the last, and beyond the bounds.
StatusOr<nlohmann::json> ParseStrictJson(std::string_view text);

// The value as messages show it: ASCII, cut after some sixty characters.
std::string Excerpt(const nlohmann::json& value);

}  // namespace tconv::server
