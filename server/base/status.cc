#include "server/base/status.h"

#include <absl/strings/cord.h>

namespace tconv::server {
namespace {

constexpr char kFieldPayload[] = "tconv/field";

}  // namespace

Status InvalidField(std::string_view field, std::string_view message) {
  Status status = MakeError(StatusCode::kInvalidArgument, "{}: {}", field, message);
  status.SetPayload(kFieldPayload, absl::Cord(std::string(field)));
  return status;
}

std::string FieldOf(const Status& status) {
  const auto field = status.GetPayload(kFieldPayload);
  return field.has_value() ? std::string(*field) : std::string();
}

Status InField(std::string_view parent, const Status& status) {
  const std::string field = FieldOf(status);
  if (field.empty()) return status;
  // The message of InvalidField() begins with "field: ".
  const std::string message(status.message());
  return InvalidField(fmt::format("{}.{}", parent, field),
                      std::string_view(message).substr(field.size() + 2));
}

}  // namespace tconv::server
