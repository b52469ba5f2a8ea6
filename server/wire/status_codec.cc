#include "server/wire/status_codec.h"

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>

#include <string>

namespace tconv::server {
namespace {

// A status travels in the trailing metadata, of which peers take 8 KiB. The
// message is there twice: percent-encoded (up to three times its length) and,
// twice itself, in the details in base 64.
constexpr size_t kMaxMessageBytes = 1024;
constexpr size_t kMaxFieldBytes = 256;

bool IsContinuationByte(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// Cuts between the characters of UTF-8.
std::string Shortened(std::string text, size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  size_t end = max_bytes;
  while (end > 0 && IsContinuationByte(text[end])) --end;
  return text.substr(0, end) + "...";
}

}  // namespace

grpc::Status ToGrpcStatus(const Status& status) {
  const auto code = static_cast<grpc::StatusCode>(status.code());
  const std::string message = Shortened(MessageOf(status), kMaxMessageBytes);
  const std::string field = FieldOf(status);
  if (field.empty()) return {code, message};

  google::rpc::BadRequest bad_request;
  auto* violation = bad_request.add_field_violations();
  violation->set_field(Shortened(field, kMaxFieldBytes));
  violation->set_description(Shortened(DescriptionOf(status), kMaxMessageBytes));
  google::rpc::Status details;
  details.set_code(code);
  details.set_message(message);
  details.add_details()->PackFrom(bad_request);
  return {code, message, details.SerializeAsString()};
}

}  // namespace tconv::server
