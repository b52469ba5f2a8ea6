// A part of what a cache holds.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

namespace tconv::server {

// Of the capacity, for all values of one owner together.
struct CacheShare {
  std::string owner = {};  // empty: nobody's, bounded by the capacity alone
  int64_t bytes = std::numeric_limits<int64_t>::max();
};

}  // namespace tconv::server
