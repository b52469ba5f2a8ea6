#include "server/base/status.h"

#include <absl/strings/cord.h>

namespace tconv::server {
namespace {

constexpr char kFieldPayload[] = "tconv/field";
constexpr char kRetryPayload[] = "tconv/retry-milliseconds";
constexpr std::string_view kFieldSeparator = ": ";

}  // namespace

Status InvalidField(std::string_view field, std::string_view message) {
  Status status =
      MakeError(StatusCode::kInvalidArgument, "{}{}{}", field, kFieldSeparator, message);
  status.SetPayload(kFieldPayload, absl::Cord(std::string(field)));
  return status;
}

std::string FieldOf(const Status& status) {
  const auto field = status.GetPayload(kFieldPayload);
  return field.has_value() ? std::string(*field) : std::string();
}

std::string DescriptionOf(const Status& status) {
  const std::string field = FieldOf(status);
  const std::string message = MessageOf(status);
  return field.empty() ? message : message.substr(field.size() + kFieldSeparator.size());
}

Status InField(std::string_view parent, const Status& status) {
  const std::string field = FieldOf(status);
  if (field.empty()) return status;
  return InvalidField(fmt::format("{}.{}", parent, field), std::string_view(DescriptionOf(status)));
}

Status RetryAfter(std::chrono::milliseconds delay, Status status) {
  status.SetPayload(kRetryPayload, absl::Cord(std::to_string(delay.count())));
  return status;
}

std::optional<std::chrono::milliseconds> RetryDelayOf(const Status& status) {
  const auto delay = status.GetPayload(kRetryPayload);
  if (!delay.has_value()) return std::nullopt;
  return std::chrono::milliseconds(std::stoll(std::string(*delay)));
}

}  // namespace tconv::server
