// What calls of a method do.
#pragma once

#include <cstdint>

namespace tconv::server {

// Changes, and what concerns the server as a whole, take more of a role than reads
// do, and are worth a line each in everyday logs.
enum class CallKind : uint8_t { kRead, kChange, kAdmin };

}  // namespace tconv::server
