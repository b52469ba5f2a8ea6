// Macros to pass errors on.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <utility>

#define TCONV_CLI_CONCAT_INNER(a, b) a##b
#define TCONV_CLI_CONCAT(a, b) TCONV_CLI_CONCAT_INNER(a, b)

// Returns from the enclosing function when `expression` is an error.
#define TCONV_CLI_RETURN_IF_ERROR(expression)                                          \
  do {                                                                                 \
    if (::absl::Status cli_status = (expression); !cli_status.ok()) return cli_status; \
  } while (false)

// TCONV_CLI_ASSIGN_OR_RETURN(T x, F()): x = the value of F(), or returns its error.
#define TCONV_CLI_ASSIGN_OR_RETURN(declaration, expression)                                \
  TCONV_CLI_ASSIGN_OR_RETURN_IMPL(TCONV_CLI_CONCAT(cli_status_or_, __LINE__), declaration, \
                                  expression)
#define TCONV_CLI_ASSIGN_OR_RETURN_IMPL(temporary, declaration, expression) \
  auto temporary = (expression);                                            \
  if (!temporary.ok()) return std::move(temporary).status();                \
  declaration = *std::move(temporary)
