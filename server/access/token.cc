#include "server/access/token.h"

#include <openssl/sha.h>

#include <algorithm>

namespace tconv::server {
namespace {

std::optional<uint8_t> ValueOf(char digit) {
  if ('0' <= digit && digit <= '9') return static_cast<uint8_t>(digit - '0');
  if ('a' <= digit && digit <= 'f') return static_cast<uint8_t>(digit - 'a' + 10);
  if ('A' <= digit && digit <= 'F') return static_cast<uint8_t>(digit - 'A' + 10);
  return std::nullopt;
}

char ToLower(char c) { return 'A' <= c && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

TokenDigest DigestOf(std::string_view token) {
  TokenDigest digest;
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), digest.data());
  return digest;
}

std::optional<TokenDigest> DigestFromHex(std::string_view hex) {
  TokenDigest digest;
  if (hex.size() != 2 * digest.size()) return std::nullopt;
  for (size_t i = 0; i < digest.size(); ++i) {
    const auto high = ValueOf(hex[2 * i]);
    const auto low = ValueOf(hex[2 * i + 1]);
    if (!high.has_value() || !low.has_value()) return std::nullopt;
    digest[i] = static_cast<uint8_t>(*high << 4 | *low);
  }
  return digest;
}

std::optional<std::string_view> TokenOf(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() <= kScheme.size()) return std::nullopt;
  const bool is_bearer = std::equal(kScheme.begin(), kScheme.end(), authorization.begin(),
                                    [](char a, char b) { return a == ToLower(b); });
  if (!is_bearer) return std::nullopt;
  const std::string_view token = authorization.substr(kScheme.size());
  if (token.size() > kMaxTokenBytes) return std::nullopt;
  return token;
}

}  // namespace tconv::server
