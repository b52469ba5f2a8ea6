// What the server knows of a method before anybody calls it.
#pragma once

#include <cstdint>
#include <string_view>

#include "server/host/admission_queue.h"
#include "server/rpc/call_kind.h"
#include "server/rpc/call_telemetry.h"
#include "server/rpc/door.h"

namespace tconv::server {

// How calls of one method are treated. What it points to outlives it.
struct Method {
  std::string_view name;  // static storage
  CallKind kind = CallKind::kRead;
  const Door* door = nullptr;  // by which they come in
  AdmissionQueue* queue = nullptr;
  int64_t max_request_bytes = 0;  // of one message
  CallTelemetry* telemetry = nullptr;
  MethodMetrics* metrics = nullptr;  // of `telemetry`
};

// What the services of a server have in common.
struct ServiceContext {
  const Door& door;
  // Runs the calls that touch no tensors, and the store only to look for layers that
  // are not known: a queue of their own keeps them from waiting behind long
  // computations.
  AdmissionQueue& reads;
  AdmissionQueue& work;
  CallTelemetry& telemetry;
  int64_t max_request_bytes;

  // `service` and `name` have static storage; `type` as in MethodLabels.
  Method MakeMethod(const char* service, const char* name, CallKind kind, AdmissionQueue& queue,
                    const char* type = "unary") const {
    return {.name = name,
            .kind = kind,
            .door = &door,
            .queue = &queue,
            .max_request_bytes = max_request_bytes,
            .telemetry = &telemetry,
            .metrics = &telemetry.metrics.Of({service, name, type})};
  }
};

}  // namespace tconv::server
