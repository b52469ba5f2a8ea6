// Who may do what and how much of it, as an operator has said it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "server/access/token.h"

namespace tconv::server {

inline constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

// Each may do what those before it may. kRead: whatever changes nothing; kWrite:
// changes of layers; kAdmin: what concerns the server as a whole.
enum class Role : uint8_t { kRead, kWrite, kAdmin };

inline std::string_view NameOf(Role role) {
  constexpr std::array<std::string_view, 3> kNames = {"read", "write", "admin"};
  return kNames[static_cast<size_t>(role)];
}

// What a tenant may have of the server, beside the limits that hold for everybody.
struct TenantLimits {
  int64_t layers = kNoLimit;
  int64_t weight_bytes = kNoLimit;  // of all its layers, in memory or not
  int64_t plan_bytes = kNoLimit;    // of compiled plans in memory
  int64_t in_flight_bytes = kNoLimit;
  int64_t calls_per_second = kNoLimit;
};

struct TenantRules {
  std::string name;
  // Layers whose names begin with one of these are the tenant's, and nobody else's:
  // no prefix of any tenant begins with another.
  std::vector<std::string> prefixes;
  TenantLimits limits;
};

struct TokenRules {
  std::string name;  // for logs and messages; the token itself is secret
  TokenDigest digest = {};
  Role role = Role::kRead;
  // Of the names of layers that it is good for; the empty one is that of all names.
  std::vector<std::string> prefixes;
  std::string tenant;  // whose limits its calls count against; empty: nobody's
};

// Consistent: tenants that are named exist, and no digest or name occurs twice.
struct AccessRules {
  std::vector<TenantRules> tenants;
  std::vector<TokenRules> tokens;
};

// Whether `name` begins with one of `prefixes`.
inline bool HasPrefix(std::string_view name, const std::vector<std::string>& prefixes) {
  for (const std::string& prefix : prefixes) {
    if (name.starts_with(prefix)) return true;
  }
  return false;
}

}  // namespace tconv::server
