// JSON of requests and of files of the operator, within the bounds of the server.
// Used by sources alone, so that no header elsewhere shows the JSON library.
#pragma once

#include <string_view>

#include <nlohmann/json.hpp>

#include "formats/strict_json.h"
#include "server/base/status.h"

namespace tconv::server {

inline constexpr size_t kMaxJsonBytes = size_t{1} << 20;
inline constexpr size_t kMaxJsonDepth = 64;

using formats::Excerpt;

// As formats::ParseStrictJson(), whose errors name no field.
inline StatusOr<nlohmann::json> ParseStrictJson(std::string_view text) {
  return formats::ParseStrictJson(text, {.bytes = kMaxJsonBytes, .levels = kMaxJsonDepth});
}

}  // namespace tconv::server
