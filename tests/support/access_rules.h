// Files with the rules of access, and the tokens in them.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "server/access/token.h"

namespace tconv::testing {

inline std::string HexDigestOf(std::string_view token) {
  std::string hex;
  for (const uint8_t byte : server::DigestOf(token)) hex += fmt::format("{:02x}", byte);
  return hex;
}

// An entry for `token`; `rest` are the other members: "\"role\": \"admin\"".
inline std::string TokenEntry(std::string_view token, std::string_view rest) {
  return fmt::format(R"({{"name": "the-{}", "sha256": "{}", {}}})", token, HexDigestOf(token),
                     rest);
}

inline std::string AccessFile(std::string_view tenants, std::string_view tokens) {
  return fmt::format(R"({{"tenants": {{{}}}, "tokens": [{}]}})", tenants, tokens);
}

}  // namespace tconv::testing
