// Bearer tokens, of which the server knows nothing but digests.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

namespace tconv::server {

// SHA-256. Tokens are random, so that nothing slower is needed to keep them from
// being guessed out of their digests; and because callers cannot choose digests,
// how long it takes to find one in a table tells nothing about the others.
using TokenDigest = std::array<uint8_t, 32>;

struct TokenDigestHash {
  size_t operator()(const TokenDigest& digest) const {
    return std::hash<std::string_view>()(
        {reinterpret_cast<const char*>(digest.data()), digest.size()});
  }
};

inline constexpr size_t kMaxTokenBytes = 512;

TokenDigest DigestOf(std::string_view token);

// From 64 hexadecimal digits.
std::optional<TokenDigest> DigestFromHex(std::string_view hex);

// The token in the value of the metadata `authorization`, "Bearer TOKEN"; nothing
// when there is no such, or one longer than kMaxTokenBytes. The word "Bearer" may
// have any letter case, as RFC 9110 has it.
std::optional<std::string_view> TokenOf(std::string_view authorization);

}  // namespace tconv::server
