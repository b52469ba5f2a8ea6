// A call with many messages, either way or both.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <grpcpp/support/byte_buffer.h>
#include <tconv/calls.h>

#include <functional>
#include <memory>
#include <optional>

#include "client/src/call.h"

namespace tconv {

// The two sides of a conversation, as its owner sees it. Its functions are
// called one at a time.
class Conversation {
 public:
  virtual ~Conversation() = default;

  // Begins from the start, before every attempt.
  virtual void Restart() = 0;
  // The next message to send; nothing when all have been.
  virtual absl::StatusOr<std::optional<grpc::ByteBuffer>> NextMessage() = 0;
  // A message of the server.
  virtual absl::Status Take(grpc::ByteBuffer message) = 0;
  // Whether what came is everything, after the server has ended with OK.
  virtual absl::Status CheckComplete() const = 0;
};

// Sends and takes messages at the same time until both sides are done, or one
// fails. An error of the conversation ends the call with that error. `done` is
// called exactly once, on the thread that handles `queue`, with the timing of
// the server if it tells.
void StartStreamCall(std::shared_ptr<const Endpoint> endpoint, CallTerms terms,
                     std::shared_ptr<Conversation> conversation, grpc::CompletionQueue& queue,
                     std::function<void(absl::StatusOr<std::optional<ServerTiming>>)> done);

}  // namespace tconv
