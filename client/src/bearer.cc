#include "client/src/bearer.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include "client/src/files.h"

namespace tconv {
namespace {

// A file is not read more often.
constexpr std::chrono::seconds kFileAge(1);

bool HasToken(const ClientOptions& options) {
  return !options.token.empty() || !options.token_file.empty();
}

// gRPC would give up a call, or worse, with other characters.
bool CanBeSent(const std::string& token) {
  return !token.empty() &&
         std::all_of(token.begin(), token.end(), [](char c) { return 0x20 < c && c < 0x7f; });
}

}  // namespace

bool IsLocalTarget(std::string_view target) {
  if (target.starts_with("unix:") || target.starts_with("unix-abstract:")) return true;
  for (const std::string_view scheme : {"dns:///", "dns:", "ipv4:", "ipv6:"}) {
    if (!target.starts_with(scheme)) continue;
    target.remove_prefix(scheme.size());
    break;
  }
  if (target == "localhost" || target.starts_with("localhost:")) return true;
  if (target == "[::1]" || target.starts_with("[::1]:")) return true;
  // "127.0.0.1" is, a name that begins alike need not be.
  const std::string_view host = target.substr(0, target.rfind(':'));
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == host.npos;
}

absl::Status CheckTokenIsSafe(const std::string& target, const ClientOptions& options) {
  const bool is_safe = options.credentials != nullptr || options.allow_plaintext_token;
  if (!HasToken(options) || is_safe || IsLocalTarget(target)) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("the token is not sent to ", target,
                   " in plain text, where others could read it: use TLS, or allow it by name"));
}

Bearer::Bearer(const ClientOptions& options, absl::Status error)
    : file_(options.token_file), error_(std::move(error)), token_(options.token) {}

absl::Status Bearer::Sign(grpc::ClientContext& context) {
  if (!error_.ok()) return error_;
  const absl::StatusOr<std::string> token = Token();
  if (!token.ok()) return token.status();
  if (!token->empty()) context.AddMetadata("authorization", absl::StrCat("Bearer ", *token));
  return absl::OkStatus();
}

absl::StatusOr<std::string> Bearer::Token() {
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  if (!file_.empty() && (token_.empty() || read_at_ + kFileAge < now)) {
    absl::StatusOr<std::string> text = ReadTextFile(file_);
    if (!text.ok()) return text.status();
    text->erase(text->find_last_not_of(" \t\r\n") + 1);
    if (!CanBeSent(*text)) return absl::InvalidArgumentError(absl::StrCat(file_, ": no token"));
    token_ = *std::move(text);
    read_at_ = now;
  }
  if (!token_.empty() && !CanBeSent(token_)) {
    return absl::InvalidArgumentError("the token has characters that no token has");
  }
  return token_;
}

}  // namespace tconv
