#include <tconv/credentials.h>

#include "client/src/files.h"

namespace tconv {
namespace {

// Empty when no file is named.
absl::Status ReadPem(const std::string& path, std::string* pem) {
  if (path.empty()) return absl::OkStatus();
  absl::StatusOr<std::string> text = ReadTextFile(path);
  if (text.ok()) *pem = *std::move(text);
  return text.status();
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> TlsCredentials(const TlsFiles& files) {
  if (files.certificate.empty() != files.key.empty()) {
    return absl::InvalidArgumentError(
        "expected both a certificate and its key for the client, or none");
  }
  grpc::SslCredentialsOptions options;
  absl::Status read = ReadPem(files.ca, &options.pem_root_certs);
  read.Update(ReadPem(files.certificate, &options.pem_cert_chain));
  read.Update(ReadPem(files.key, &options.pem_private_key));
  if (!read.ok()) return read;
  return grpc::SslCredentials(options);
}

}  // namespace tconv
