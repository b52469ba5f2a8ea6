// Memory that several values hold together.
#pragma once

#include <cstdint>

namespace tconv::server {

struct SharedPart {
  const void* identity = nullptr;  // the address of the part
  int64_t bytes = 0;
};

}  // namespace tconv::server
