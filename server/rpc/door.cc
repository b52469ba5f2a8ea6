#include "server/rpc/door.h"

#include <optional>
#include <string_view>

namespace tconv::server {
namespace {

Role RoleFor(CallKind kind) {
  switch (kind) {
    case CallKind::kRead:
      return Role::kRead;
    case CallKind::kChange:
      return Role::kWrite;
    case CallKind::kAdmin:
      return Role::kAdmin;
  }
  return Role::kAdmin;
}

// Of several, none is to be believed.
std::optional<std::string_view> AuthorizationIn(const grpc::ServerContextBase& context) {
  const auto& metadata = context.client_metadata();
  const auto [first, last] = metadata.equal_range("authorization");
  if (first == last || std::next(first) != last) return std::nullopt;
  return std::string_view(first->second.data(), first->second.size());
}

}  // namespace

StatusOr<Caller> CallerOf(const AccessControl& access, const grpc::ServerContextBase& context) {
  return access.Identify(AuthorizationIn(context));
}

StatusOr<Caller> Door::Identify(const grpc::ServerContextBase& context, CallKind kind) const {
  TCONV_ASSIGN_OR_RETURN(Caller caller, CallerOf(access_, context));
  TCONV_RETURN_IF_ERROR(caller.CheckRole(RoleFor(kind)));
  return caller;
}

StatusOr<Stay> Door::Enter(AdmissionQueue& queue, const Caller& caller, int64_t bytes) const {
  Stay::Allowances allowances = {all_calls_};
  if (caller.tenant() != nullptr) allowances.push_back(caller.tenant()->allowance);
  return Stay::Enter(queue, allowances, bytes);
}

}  // namespace tconv::server
