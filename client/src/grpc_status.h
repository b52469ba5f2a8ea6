// grpc::Status to absl::Status: the one place of the client that does it.
#pragma once

#include <absl/status/status.h>
#include <grpcpp/support/status.h>

namespace tconv {

// Codes and messages carry over; so does every detail of grpc-status-details-bin,
// as a payload under its type URL.
absl::Status ToAbslStatus(const grpc::Status& status);

}  // namespace tconv
