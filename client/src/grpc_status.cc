#include "client/src/grpc_status.h"

#include <absl/strings/cord.h>
#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <tconv/connection.h>

#include <algorithm>
#include <cstdint>
#include <string>

namespace tconv {
namespace {

constexpr char kBadRequestUrl[] = "type.googleapis.com/google.rpc.BadRequest";
constexpr char kRetryInfoUrl[] = "type.googleapis.com/google.rpc.RetryInfo";

// The detail of this type. False: there is none.
bool FindDetail(const absl::Status& status, const char* url, google::protobuf::Message* detail) {
  const auto payload = status.GetPayload(url);
  return payload && detail->ParseFromString(std::string(*payload));
}

}  // namespace

absl::Status ToAbslStatus(const grpc::Status& status) {
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  google::rpc::Status details;
  if (details.ParseFromString(status.error_details())) {
    for (const google::protobuf::Any& detail : details.details()) {
      result.SetPayload(detail.type_url(), absl::Cord(detail.value()));
    }
  }
  return result;
}

std::optional<std::chrono::milliseconds> RetryDelayOf(const absl::Status& status) {
  google::rpc::RetryInfo info;
  if (!FindDetail(status, kRetryInfoUrl, &info)) return std::nullopt;
  // Whatever comes over the wire fits the clock.
  constexpr int64_t kYear = 365 * 86'400;
  const auto& delay = info.retry_delay();
  return std::chrono::ceil<std::chrono::milliseconds>(
      std::chrono::seconds(std::clamp<int64_t>(delay.seconds(), 0, kYear)) +
      std::chrono::nanoseconds(std::clamp(delay.nanos(), 0, 999'999'999)));
}

std::vector<FieldViolation> FieldViolations(const absl::Status& status) {
  google::rpc::BadRequest bad_request;
  if (!FindDetail(status, kBadRequestUrl, &bad_request)) return {};
  std::vector<FieldViolation> violations;
  for (const auto& violation : bad_request.field_violations()) {
    violations.push_back({.field = violation.field(), .description = violation.description()});
  }
  return violations;
}

}  // namespace tconv
