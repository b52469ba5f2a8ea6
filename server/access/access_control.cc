#include "server/access/access_control.h"

#include <functional>
#include <iterator>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>

namespace tconv::server {
namespace {

using Tenants = std::map<std::string, std::shared_ptr<const Tenant>, std::less<>>;

std::shared_ptr<const TokenRules> EverythingAllowed() {
  static const auto rules = std::make_shared<const TokenRules>(
      TokenRules{.name = "", .digest = {}, .role = Role::kAdmin, .prefixes = {""}, .tenant = ""});
  return rules;
}

// The allowance that the tenant had before, with its new limits; else a new one.
std::shared_ptr<Allowance> AllowanceFor(const TenantRules& rules, const Tenants& before) {
  const AllowanceLimits limits{rules.limits.in_flight_bytes, rules.limits.calls_per_second};
  if (const auto found = before.find(rules.name); found != before.end()) {
    found->second->allowance->Change(limits);
    return found->second->allowance;
  }
  return std::make_shared<Allowance>(fmt::format("tenant \"{}\"", rules.name), limits);
}

}  // namespace

Caller::Caller() : token_(EverythingAllowed()) {}

Status Caller::CheckRole(Role needed) const {
  if (token_->role >= needed) return OkStatus();
  return MakeError(StatusCode::kPermissionDenied,
                   "the token \"{}\" has the role {}, this call needs {}", token_->name,
                   NameOf(token_->role), NameOf(needed));
}

Status Caller::CheckLayer(std::string_view layer) const {
  if (MayUse(layer)) return OkStatus();
  return MakeError(StatusCode::kPermissionDenied, "the token \"{}\" is not good for layer \"{}\"",
                   token_->name, layer);
}

struct AccessControl::Policy {
  Tenants tenants;  // by name
  Tenants owners;   // by prefix
  std::unordered_map<TokenDigest, Caller, TokenDigestHash> callers;
};

AccessControl::AccessControl() = default;
AccessControl::~AccessControl() = default;

void AccessControl::Replace(AccessRules rules) {
  const std::shared_ptr<const Policy> before = policy();
  auto next = std::make_shared<Policy>();
  for (TenantRules& tenant : rules.tenants) {
    auto allowance = AllowanceFor(tenant, before != nullptr ? before->tenants : Tenants());
    const auto shared =
        std::make_shared<const Tenant>(Tenant{std::move(tenant), std::move(allowance)});
    next->tenants[shared->rules.name] = shared;
    for (const std::string& prefix : shared->rules.prefixes) next->owners[prefix] = shared;
  }
  for (TokenRules& token : rules.tokens) {
    const auto tenant = next->tenants.find(token.tenant);
    const TokenDigest digest = token.digest;
    next->callers.emplace(digest, Caller(std::make_shared<const TokenRules>(std::move(token)),
                                         tenant == next->tenants.end() ? nullptr : tenant->second));
  }
  MutexLock lock(mutex_);
  policy_ = std::move(next);
}

bool AccessControl::IsOpen() const { return policy() == nullptr; }

StatusOr<Caller> AccessControl::Identify(std::optional<std::string_view> authorization) const {
  const std::shared_ptr<const Policy> current = policy();
  if (current == nullptr) return Caller();
  const auto token = authorization.has_value() ? TokenOf(*authorization) : std::nullopt;
  if (!token.has_value()) {
    return Status(StatusCode::kUnauthenticated,
                  "expected a token in the metadata: authorization: Bearer TOKEN");
  }
  const auto caller = current->callers.find(DigestOf(*token));
  if (caller == current->callers.end()) {
    return Status(StatusCode::kUnauthenticated, "the server does not know this token");
  }
  return caller->second;
}

std::shared_ptr<const Tenant> AccessControl::OwnerOf(std::string_view layer) const {
  const std::shared_ptr<const Policy> current = policy();
  if (current == nullptr) return nullptr;
  // No prefix begins with another, so only the last one before the name may be its.
  auto next = current->owners.upper_bound(layer);
  if (next == current->owners.begin()) return nullptr;
  const auto& [prefix, tenant] = *std::prev(next);
  return layer.starts_with(prefix) ? tenant : nullptr;
}

std::shared_ptr<const AccessControl::Policy> AccessControl::policy() const {
  MutexLock lock(mutex_);
  return policy_;
}

}  // namespace tconv::server
