// What all calls of one connection share.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <tconv/options.h>

#include <memory>
#include <string>

#include "client/src/bearer.h"
#include "client/src/completion.h"
#include "client/src/memory_pool.h"

namespace tconv {

// Calls in flight keep it alive. Immutable but for what is inside of its parts;
// thread-safe.
struct Endpoint {
  // `target` names the server in messages.
  Endpoint(std::shared_ptr<grpc::Channel> channel, std::string target, const ClientOptions& options,
           std::shared_ptr<Bearer> bearer);

  const std::shared_ptr<grpc::Channel> channel;
  const std::string target;
  const std::shared_ptr<Bearer> bearer;
  const RetryPolicy retry;
  const std::shared_ptr<MemoryPool> memory;
  const std::shared_ptr<QueuePool> queues = std::make_shared<QueuePool>();
  // What grpc::ClientContext::peer() says of a call that has not left.
  const std::string peer_before_sending;
};

}  // namespace tconv
