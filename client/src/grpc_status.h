// grpc::Status to absl::Status: the one place of the client that does it.
#pragma once

#include <absl/status/status.h>
#include <grpcpp/support/status.h>

#include <chrono>
#include <optional>

namespace tconv {

// Codes and messages carry over; so does every detail of grpc-status-details-bin,
// as a payload under its type URL.
absl::Status ToAbslStatus(const grpc::Status& status);

// How long to wait before another try, by the google.rpc.RetryInfo of a status
// that ToAbslStatus() made; nothing when it has none.
std::optional<std::chrono::milliseconds> RetryDelayOf(const absl::Status& status);

}  // namespace tconv
