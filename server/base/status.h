// Errors of the server: absl::Status with messages made by fmt, a way to say
// which field of a request is wrong, and macros to pass errors on.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <fmt/format.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace tconv::server {

using absl::OkStatus;
using absl::Status;
using absl::StatusCode;
using absl::StatusOr;

template <typename... Args>
Status MakeError(StatusCode code, fmt::format_string<Args...> format, Args&&... args) {
  return Status(code, fmt::format(format, std::forward<Args>(args)...));
}

// INVALID_ARGUMENT about the field at path `field`, as "field: message".
// FieldOf() tells the path again, so that it can be sent as structured detail.
Status InvalidField(std::string_view field, std::string_view message);

template <typename... Args>
Status InvalidField(std::string_view field, fmt::format_string<Args...> format, Args&&... args) {
  return InvalidField(field, std::string_view(fmt::format(format, std::forward<Args>(args)...)));
}

// The message as a type that fmt prints; abseil's own string_view is not one.
inline std::string MessageOf(const Status& status) { return std::string(status.message()); }

// The path that InvalidField() named; empty for every other status.
std::string FieldOf(const Status& status);
// The message without that path.
std::string DescriptionOf(const Status& status);

// Lets the path of an InvalidField() begin at the enclosing message: "x" in
// "weights" becomes "weights.x". Passes every other status through.
Status InField(std::string_view parent, const Status& status);

// The same error, worth another try after `delay`.
Status RetryAfter(std::chrono::milliseconds delay, Status status);
// The delay that RetryAfter() named; nothing for every other status.
std::optional<std::chrono::milliseconds> RetryDelayOf(const Status& status);

}  // namespace tconv::server

#define TCONV_STATUS_CONCAT_INNER(a, b) a##b
#define TCONV_STATUS_CONCAT(a, b) TCONV_STATUS_CONCAT_INNER(a, b)

// Returns from the enclosing function when `expression` is an error.
#define TCONV_RETURN_IF_ERROR(expression)                                 \
  do {                                                                    \
    if (::absl::Status tconv_status = (expression); !tconv_status.ok()) { \
      return tconv_status;                                                \
    }                                                                     \
  } while (false)

// TCONV_ASSIGN_OR_RETURN(T x, F()): x = the value of F(), or returns its error.
#define TCONV_ASSIGN_OR_RETURN(declaration, expression)                                     \
  TCONV_ASSIGN_OR_RETURN_IMPL(TCONV_STATUS_CONCAT(tconv_status_or_, __LINE__), declaration, \
                              expression)

#define TCONV_ASSIGN_OR_RETURN_IMPL(temporary, declaration, expression) \
  auto temporary = (expression);                                        \
  if (!temporary.ok()) return std::move(temporary).status();            \
  declaration = *std::move(temporary)
