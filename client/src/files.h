// Small files as text.
#pragma once

#include <absl/status/statusor.h>

#include <string>

namespace tconv {

// INVALID_ARGUMENT, with the path: it cannot be read.
absl::StatusOr<std::string> ReadTextFile(const std::string& path);

}  // namespace tconv
