// Connections that nobody else can read, to a server that proves who it is.
#pragma once

#include <absl/status/statusor.h>
#include <grpcpp/security/credentials.h>

#include <memory>
#include <string>

namespace tconv {

// PEM files.
struct TlsFiles {
  // Whoever may vouch for the server; empty: those that the system trusts.
  std::string ca = {};
  // Who the client is, for servers that ask; both or none.
  std::string certificate = {};
  std::string key = {};
};

// For ClientOptions::credentials. The files are read now; make a new connection
// when they change. INVALID_ARGUMENT: one cannot be read, or half of a pair is
// missing.
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> TlsCredentials(const TlsFiles& files);

}  // namespace tconv
