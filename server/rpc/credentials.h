// How the server proves who it is, and where it may do without.
#pragma once

#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/base/status.h"

namespace tconv::server {

// Paths of PEM files.
struct TlsFiles {
  // With those between it and the root. Empty: no TLS.
  std::string certificate;
  std::string key;
  // Clients need a certificate signed by one of these. Empty: they need none.
  std::string client_ca;
};

// Whether an address to listen on can be reached from this machine alone: a Unix
// socket, or one of loopback.
bool IsLocalAddress(std::string_view address);

// OK, or what is wrong with listening on these addresses. INVALID_ARGUMENT: half of
// the files are named; or whoever is on the network could read along, and
// `allow_plaintext` is not set.
Status CheckExposure(const std::vector<std::string>& addresses, const TlsFiles& files,
                     bool allow_plaintext);

// TLS 1.2 or 1.3; the files are read again as they change. FAILED_PRECONDITION when
// one cannot be read, or key and certificate do not belong together.
StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeTlsCredentials(const TlsFiles& files);

}  // namespace tconv::server
