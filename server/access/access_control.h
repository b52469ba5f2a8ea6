// The rules of access that hold now.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "server/access/access_rules.h"
#include "server/access/caller.h"
#include "server/base/mutex.h"
#include "server/base/status.h"

namespace tconv::server {

// Tells who calls, and whose a layer is. Any call may ask:
//
//   TCONV_ASSIGN_OR_RETURN(const Caller caller, access.Identify(authorization));
//   TCONV_RETURN_IF_ERROR(caller.CheckRole(Role::kAdmin));
//
// Thread-safe.
class AccessControl {
 public:
  // Until the first Replace() there is no access control: everybody may do
  // everything, and tokens are not looked at.
  AccessControl();
  ~AccessControl();

  // What tenants use now stays counted, by their names.
  void Replace(AccessRules rules);

  bool IsOpen() const;

  // By the value of the metadata `authorization`. UNAUTHENTICATED when the token
  // is missing or nobody's.
  StatusOr<Caller> Identify(std::optional<std::string_view> authorization) const;

  // The tenant whose layers have names such as this; null: nobody's.
  std::shared_ptr<const Tenant> OwnerOf(std::string_view layer) const;

 private:
  struct Policy;

  std::shared_ptr<const Policy> policy() const;

  mutable Mutex mutex_;
  std::shared_ptr<const Policy> policy_ TCONV_GUARDED_BY(mutex_);  // null: open
};

}  // namespace tconv::server
