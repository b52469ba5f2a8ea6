// What the server says about the time of a call.
#pragma once

#include <tconv/calls.h>

#include <optional>
#include <string_view>

namespace tconv {

// Key of the trailing metadata with it.
inline constexpr char kTimingKey[] = "tconv-timing";

// From "queue=12,plan=3,compute=840,serialize=5", in microseconds and any order;
// other words are for later clients. Absent: not of this form.
std::optional<ServerTiming> ParseServerTiming(std::string_view text);

}  // namespace tconv
