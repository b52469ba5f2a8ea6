// The token that a connection sends with its calls.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <grpcpp/client_context.h>
#include <tconv/options.h>

#include <chrono>
#include <mutex>
#include <string>
#include <string_view>

namespace tconv {

// Whether calls to `target` do not leave this machine.
bool IsLocalTarget(std::string_view target);

// Thread-safe.
class Bearer {
 public:
  // What ClientOptions says about tokens. `error`: why none may be sent.
  Bearer(const ClientOptions& options, absl::Status error);

  // Adds the token, if there is one, to a call that has not begun.
  // FAILED_PRECONDITION: it is not to be sent in plain text; INVALID_ARGUMENT: there
  // is no token in its file, or none that can be sent.
  absl::Status Sign(grpc::ClientContext& context);

 private:
  using Clock = std::chrono::steady_clock;

  absl::StatusOr<std::string> Token();

  const std::string file_;
  const absl::Status error_;
  std::mutex mutex_;
  std::string token_;  // as it was at read_at_
  Clock::time_point read_at_ = {};
};

// OK, or why a connection to `target` must not carry a token.
absl::Status CheckTokenIsSafe(const std::string& target, const ClientOptions& options);

}  // namespace tconv
