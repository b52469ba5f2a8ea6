// A client that does as little as gRPC allows: bytes out, bytes in.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>

#include <memory>
#include <string>
#include <utility>

namespace tconv::bench {

// Unary calls, one after the other; used by one thread at a time. Clients made
// one from another share a connection.
class RawClient {
 public:
  explicit RawClient(const std::string& target) : RawClient(Connect(target)) {}
  explicit RawClient(std::shared_ptr<grpc::Channel> channel)
      : channel_(std::move(channel)), stub_(channel_) {}
  ~RawClient() { queue_.Shutdown(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

  // Whether an answer came. `received` lets go of the one before.
  bool Call(const std::string& method, const grpc::ByteBuffer& request,
            grpc::ByteBuffer* received) {
    grpc::ClientContext context;
    const auto call = stub_.PrepareUnaryCall(&context, method, request, &queue_);
    call->StartCall();
    grpc::Status status;
    received->Clear();
    call->Finish(received, &status, nullptr);
    void* tag = nullptr;
    bool is_ok = false;
    return queue_.Next(&tag, &is_ok) && status.ok();
  }

 private:
  static std::shared_ptr<grpc::Channel> Connect(const std::string& target) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);
    arguments.SetMaxSendMessageSize(-1);
    return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
  }

  const std::shared_ptr<grpc::Channel> channel_;
  grpc::GenericStub stub_;
  grpc::CompletionQueue queue_;
};

}  // namespace tconv::bench
