// What every call passes before its request is read.
#pragma once

#include <grpcpp/server_context.h>

#include <cstdint>
#include <memory>
#include <utility>

#include "server/access/access_control.h"
#include "server/access/allowance.h"
#include "server/access/caller.h"
#include "server/base/status.h"
#include "server/host/admission_queue.h"
#include "server/host/stay.h"
#include "server/rpc/arrival_watch.h"
#include "server/rpc/call_kind.h"

namespace tconv::server {

// By the metadata of the call. Errors of AccessControl::Identify().
StatusOr<Caller> CallerOf(const AccessControl& access, const grpc::ServerContextBase& context);

// Thread-safe.
class Door {
 public:
  // `all_calls` is the allowance of everybody together. `access` and `arrivals`
  // must outlive the door.
  Door(const AccessControl& access, std::shared_ptr<Allowance> all_calls, ArrivalWatch& arrivals)
      : access_(access), all_calls_(std::move(all_calls)), arrivals_(arrivals) {}

  // Who calls a method of this kind. UNAUTHENTICATED or PERMISSION_DENIED.
  StatusOr<Caller> Identify(const grpc::ServerContextBase& context, CallKind kind) const;

  // Errors of Stay::Enter().
  StatusOr<Stay> Enter(AdmissionQueue& queue, const Caller& caller, int64_t bytes) const;

  // For what is still to arrive then.
  ArrivalWatch& arrivals() const { return arrivals_; }

 private:
  const AccessControl& access_;
  const std::shared_ptr<Allowance> all_calls_;
  ArrivalWatch& arrivals_;
};

}  // namespace tconv::server
