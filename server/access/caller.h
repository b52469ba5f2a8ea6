// Who makes a call, and what they may do.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "server/access/access_rules.h"
#include "server/access/allowance.h"
#include "server/base/status.h"

namespace tconv::server {

// A tenant, whose allowance outlives changes of its rules.
struct Tenant {
  TenantRules rules;
  std::shared_ptr<Allowance> allowance;
};

// What a token stands for. Immutable and cheap to copy; a change of the rules does
// not reach the calls that have begun.
class Caller {
 public:
  // Anybody, on a server without access control: may do everything.
  Caller();
  Caller(std::shared_ptr<const TokenRules> token, std::shared_ptr<const Tenant> tenant)
      : token_(std::move(token)), tenant_(std::move(tenant)) {}

  // Of the token; empty: anybody.
  const std::string& name() const { return token_->name; }

  // PERMISSION_DENIED unless its role includes `needed`.
  Status CheckRole(Role needed) const;

  bool MayUse(std::string_view layer) const { return HasPrefix(layer, token_->prefixes); }
  // PERMISSION_DENIED unless the token is good for layers of this name, whether or
  // not there is one.
  Status CheckLayer(std::string_view layer) const;

  // What a name that the server makes up for this caller begins with.
  const std::string& name_prefix() const { return token_->prefixes.front(); }

  // Null: of no tenant.
  const std::shared_ptr<const Tenant>& tenant() const { return tenant_; }

 private:
  std::shared_ptr<const TokenRules> token_;
  std::shared_ptr<const Tenant> tenant_;
};

}  // namespace tconv::server
