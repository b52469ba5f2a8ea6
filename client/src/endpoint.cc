#include "client/src/endpoint.h"

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>

#include <utility>

namespace tconv {
namespace {

// A call that is prepared, and never started, can be asked.
std::string PeerBeforeSending(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const auto call = grpc::GenericStub(channel).PrepareUnaryCall(&context, "/", {}, &queue);
  return context.peer();
}

}  // namespace

Endpoint::Endpoint(std::shared_ptr<grpc::Channel> open_channel, std::string name,
                   const ClientOptions& options, std::shared_ptr<Bearer> token_bearer)
    : channel(std::move(open_channel)),
      target(std::move(name)),
      bearer(std::move(token_bearer)),
      retry(options.retry),
      memory(MemoryPool::Create(options.max_idle_bytes)),
      peer_before_sending(PeerBeforeSending(channel)) {}

}  // namespace tconv
