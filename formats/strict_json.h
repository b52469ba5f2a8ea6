// JSON from strangers: bounded, without the leniencies of the usual parsers.
#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace tconv::formats {

struct JsonLimits {
  size_t bytes = size_t{1} << 20;
  size_t levels = 64;
};

// The one value that `text` holds. INVALID_ARGUMENT for what RFC 8259 does not
// allow (NaN, trailing text, ill-formed UTF-8), for duplicate keys, of which other
// parsers silently take the last, and beyond the limits.
absl::StatusOr<nlohmann::json> ParseStrictJson(std::string_view text,
                                               const JsonLimits& limits = {});

// The value as messages show it: ASCII, cut after some sixty characters.
std::string Excerpt(const nlohmann::json& value);

}  // namespace tconv::formats
