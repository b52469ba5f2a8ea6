// What the server knows of a method before anybody calls it.
#pragma once

#include <cstdint>
#include <string_view>

#include "server/host/admission_queue.h"
#include "server/rpc/call_observer.h"
#include "server/rpc/door.h"

namespace tconv::server {

// How calls of one method are treated.
struct Method {
  std::string_view name;  // static storage
  CallKind kind = CallKind::kRead;
  const Door* door = nullptr;  // by which they come in
  AdmissionQueue* queue = nullptr;
  int64_t max_request_bytes = 0;  // of one message
};

}  // namespace tconv::server
