// How wide a text is.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace tconv::cli {

// In columns of a terminal, as far as each code point takes one.
inline size_t DisplayWidth(std::string_view utf8) {
  return static_cast<size_t>(
      std::count_if(utf8.begin(), utf8.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace tconv::cli
