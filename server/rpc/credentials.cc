#include "server/rpc/credentials.h"

#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <array>

namespace tconv::server {
namespace {

using grpc::experimental::FileWatcherCertificateProvider;
using grpc::experimental::TlsServerCredentialsOptions;

constexpr unsigned kReloadSeconds = 2;

Status TlsError(const char* option, const std::string& file) {
  std::array<char, 256> reason{};
  ERR_error_string_n(ERR_get_error(), reason.data(), reason.size());
  ERR_clear_error();
  return MakeError(StatusCode::kFailedPrecondition, "{}: {} does not work: {}", option, file,
                   reason.data());
}

// Nobody is there to type the password of a key.
int RefusePassword(char*, int, int, void*) { return -1; }

// gRPC itself would listen, and refuse every handshake without a word.
Status CheckFiles(const TlsFiles& files) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_server_method()),
                                                                  &SSL_CTX_free);
  if (context == nullptr) return TlsError("tls", "OpenSSL");
  SSL_CTX_set_default_passwd_cb(context.get(), &RefusePassword);
  if (SSL_CTX_use_certificate_chain_file(context.get(), files.certificate.c_str()) != 1) {
    return TlsError("tls-cert", files.certificate);
  }
  // Also checks that it is the key of the certificate.
  if (SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return TlsError("tls-key", files.key);
  }
  if (!files.client_ca.empty() &&
      SSL_CTX_load_verify_locations(context.get(), files.client_ca.c_str(), nullptr) != 1) {
    return TlsError("tls-client-ca", files.client_ca);
  }
  return OkStatus();
}

}  // namespace

bool IsLocalAddress(std::string_view address) {
  for (const std::string_view local : {"unix:", "localhost:", "[::1]:"}) {
    if (address.starts_with(local)) return true;
  }
  // "127.0.0.1" is, a name that begins alike need not be.
  const std::string_view host = address.substr(0, address.rfind(':'));
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == host.npos;
}

Status CheckExposure(const std::vector<std::string>& addresses, const TlsFiles& files,
                     bool allow_plaintext) {
  if (files.certificate.empty() != files.key.empty()) {
    return InvalidField("tls-key", "expected both tls-cert and tls-key, or none");
  }
  if (!files.certificate.empty()) return OkStatus();
  if (!files.client_ca.empty()) {
    return InvalidField("tls-client-ca", "expected tls-cert and tls-key beside it");
  }
  for (const std::string& address : addresses) {
    if (allow_plaintext || IsLocalAddress(address)) continue;
    return InvalidField("listen",
                        "without TLS, whoever is on the network of {} can read and change what "
                        "goes by, tokens included: expected tls-cert and tls-key, or "
                        "allow-plaintext where something else protects it",
                        address);
  }
  return OkStatus();
}

StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeTlsCredentials(const TlsFiles& files) {
  TCONV_RETURN_IF_ERROR(CheckFiles(files));
  TlsServerCredentialsOptions options(std::make_shared<FileWatcherCertificateProvider>(
      files.key, files.certificate, files.client_ca, kReloadSeconds));
  options.watch_identity_key_cert_pairs();
  if (!files.client_ca.empty()) {
    options.watch_root_certs();
    options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  return grpc::experimental::TlsServerCredentials(options);
}

}  // namespace tconv::server
