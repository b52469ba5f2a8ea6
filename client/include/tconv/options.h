// How a client connects and how long it waits.
#pragma once

#include <grpcpp/security/credentials.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>

namespace tconv {

// Settings of a connection; read once, when it is made.
struct ClientOptions {
  // How long a call may take, from the moment it is made until its answer has
  // arrived; DEADLINE_EXCEEDED after that. Zero: as long as it takes.
  std::chrono::milliseconds timeout = std::chrono::seconds(60);
  // Null: plain text without authentication. The TLS of gRPC is
  // grpc::SslCredentials().
  std::shared_ptr<grpc::ChannelCredentials> credentials = {};
};

// Settings of a single call.
struct CallOptions {
  // Instead of ClientOptions::timeout; zero: as long as it takes.
  std::optional<std::chrono::milliseconds> timeout = {};
  // request_stop() on the source of this token ends the call with CANCELLED, at
  // any time and from any thread. It does nothing once the call has ended.
  std::stop_token cancellation = {};
};

}  // namespace tconv
