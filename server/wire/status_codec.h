// absl::Status to grpc::Status: the one place of the server that does it.
#pragma once

#include <grpcpp/support/status.h>

#include "server/base/status.h"

namespace tconv::server {

// Codes and messages carry over. An InvalidField() also travels as
// google.rpc.BadRequest inside the status details (grpc-status-details-bin), and
// the delay of a RetryAfter() as google.rpc.RetryInfo.
grpc::Status ToGrpcStatus(const Status& status);

}  // namespace tconv::server
