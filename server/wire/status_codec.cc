#include "server/wire/status_codec.h"

#include <google/protobuf/util/time_util.h>
#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>

#include <chrono>
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

google::rpc::BadRequest BadRequestOf(const Status& status, const std::string& field) {
  google::rpc::BadRequest bad_request;
  auto* violation = bad_request.add_field_violations();
  violation->set_field(Shortened(field, kMaxFieldBytes));
  violation->set_description(Shortened(DescriptionOf(status), kMaxMessageBytes));
  return bad_request;
}

google::rpc::RetryInfo RetryInfoOf(std::chrono::milliseconds delay) {
  google::rpc::RetryInfo info;
  *info.mutable_retry_delay() =
      google::protobuf::util::TimeUtil::MillisecondsToDuration(delay.count());
  return info;
}

}  // namespace

grpc::Status ToGrpcStatus(const Status& status) {
  const auto code = static_cast<grpc::StatusCode>(status.code());
  const std::string message = Shortened(MessageOf(status), kMaxMessageBytes);
  google::rpc::Status details;
  if (const std::string field = FieldOf(status); !field.empty()) {
    details.add_details()->PackFrom(BadRequestOf(status, field));
  }
  if (const auto delay = RetryDelayOf(status); delay.has_value()) {
    details.add_details()->PackFrom(RetryInfoOf(*delay));
  }
  if (details.details_size() == 0) return {code, message};

  details.set_code(code);
  details.set_message(message);
  return {code, message, details.SerializeAsString()};
}

}  // namespace tconv::server
