// What the server says about the time of a call.
#pragma once

#include <tconv/calls.h>

#include <optional>
#include <string_view>

namespace tconv {

// From the value of codec::kTimingKey, in any order; other words are for later
// clients. Absent: not of this form.
std::optional<ServerTiming> ParseServerTiming(std::string_view text);

}  // namespace tconv
