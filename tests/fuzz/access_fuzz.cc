// Any text as an access file, and as an authorization: the file is taken only when
// every layer has one owner and every token one meaning, and those are found again;
// a token is taken only out of "Bearer TOKEN".
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "server/access/access_control.h"
#include "server/access/access_file.h"

namespace tconv::server {
namespace {

// Stops the fuzzer, which then keeps the input.
void Check(bool condition, std::string_view what) {
  if (condition) return;
  std::cerr << what << "\n";
  std::abort();
}

void CheckOwners(const AccessRules& rules, const AccessControl& access) {
  for (const TenantRules& tenant : rules.tenants) {
    Check(!tenant.prefixes.empty(), "a tenant without layers");
    for (const std::string& prefix : tenant.prefixes) {
      for (const std::string& name : {prefix, prefix + "x", prefix + "\xff"}) {
        const auto owner = access.OwnerOf(name);
        Check(owner != nullptr && owner->rules.name == tenant.name, "another owner");
      }
    }
  }
}

void CheckTokens(const AccessRules& rules) {
  for (const TokenRules& token : rules.tokens) {
    Check(!token.prefixes.empty(), "a token that is good for no layer");
    Check(token.role != Role::kAdmin || token.prefixes.front().empty(), "a confined admin");
    for (const TokenRules& other : rules.tokens) {
      Check(&other == &token || (other.digest != token.digest && other.name != token.name),
            "a token twice");
    }
  }
}

void CheckFile(std::string_view text) {
  const StatusOr<AccessRules> rules = ParseAccessFile(text);
  if (!rules.ok()) {
    Check(rules.status().code() == StatusCode::kInvalidArgument, "another kind of error");
    return;
  }
  AccessControl access;
  access.Replace(*rules);
  Check(!access.IsOpen(), "a file that lets everybody in");
  Check(!access.Identify("Bearer x").ok() || !rules->tokens.empty(), "a token from nowhere");
  CheckOwners(*rules, access);
  CheckTokens(*rules);
}

void CheckAuthorization(std::string_view text) {
  const auto token = TokenOf(text);
  if (!token.has_value()) return;
  Check(!token->empty() && token->size() <= kMaxTokenBytes, "a token of another size");
  Check(text.size() == token->size() + 7 && text.ends_with(*token), "another token");
}

}  // namespace
}  // namespace tconv::server

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  tconv::server::CheckFile(text);
  tconv::server::CheckAuthorization(text);
  return 0;
}
