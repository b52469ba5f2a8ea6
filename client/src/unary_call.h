// A call with one message each way.
#pragma once

#include <absl/status/statusor.h>
#include <grpcpp/support/byte_buffer.h>
#include <tconv/calls.h>

#include <functional>
#include <memory>
#include <optional>

#include "client/src/call.h"

namespace tconv {

// What a server has answered.
struct UnaryAnswer {
  grpc::ByteBuffer message;
  std::optional<ServerTiming> timing;
};

// Calls `done` exactly once, on the thread that handles `queue`. The memory of
// the request may be in use until then.
void StartUnaryCall(std::shared_ptr<const Endpoint> endpoint, CallTerms terms,
                    grpc::ByteBuffer request, grpc::CompletionQueue& queue,
                    std::function<void(absl::StatusOr<UnaryAnswer>)> done);

}  // namespace tconv
