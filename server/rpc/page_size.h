// How much is on a page of a list.
#pragma once

#include <algorithm>
#include <cstddef>

#include "server/base/status.h"

namespace tconv::server {

// By the field `page_size` of a request. INVALID_ARGUMENT.
template <typename Request>
StatusOr<size_t> PageSizeOf(const Request& request) {
  constexpr int kDefault = 100;
  constexpr int kMost = 1000;
  const int size = request.page_size();
  if (size < 0) return InvalidField("page_size", "expected 0 or more, got {}", size);
  return static_cast<size_t>(size == 0 ? kDefault : std::min(size, kMost));
}

}  // namespace tconv::server
