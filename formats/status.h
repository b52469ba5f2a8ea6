// Macros to pass errors on.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

namespace tconv::formats {

// INVALID_ARGUMENT, about a file.
template <typename... Args>
absl::Status Malformed(fmt::format_string<Args...> format, Args&&... args) {
  return absl::InvalidArgumentError(fmt::format(format, std::forward<Args>(args)...));
}

// The same error with `place` in front: "up1: kernel: expected ...".
inline absl::Status At(std::string_view place, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), fmt::format("{}: {}", place, std::string(status.message())));
}

}  // namespace tconv::formats

#define TCONV_FORMATS_CONCAT_INNER(a, b) a##b
#define TCONV_FORMATS_CONCAT(a, b) TCONV_FORMATS_CONCAT_INNER(a, b)

// Returns from the enclosing function when `expression` is an error.
#define TCONV_FORMATS_RETURN_IF_ERROR(expression)                                                  \
  do {                                                                                             \
    if (::absl::Status formats_status = (expression); !formats_status.ok()) return formats_status; \
  } while (false)

// TCONV_FORMATS_ASSIGN_OR_RETURN(T x, F()): x = the value of F(), or returns its error.
#define TCONV_FORMATS_ASSIGN_OR_RETURN(declaration, expression)                           \
  TCONV_FORMATS_ASSIGN_OR_RETURN_IMPL(TCONV_FORMATS_CONCAT(formats_status_or_, __LINE__), \
                                      declaration, expression)
#define TCONV_FORMATS_ASSIGN_OR_RETURN_IMPL(temporary, declaration, expression) \
  auto temporary = (expression);                                                \
  if (!temporary.ok()) return std::move(temporary).status();                    \
  declaration = *std::move(temporary)
