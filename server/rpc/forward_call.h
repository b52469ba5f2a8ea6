// Calls of Forward.
#pragma once

#include <tconv/v1/transposed_conv.pb.h>

#include <algorithm>
#include <chrono>
#include <span>
#include <string_view>

#include "server/base/status.h"
#include "server/host/forward_job.h"
#include "server/host/layer_host.h"
#include "server/host/shared_memory.h"
#include "server/rpc/unary_call.h"
#include "server/rpc/waiting_forward.h"

namespace tconv::server {

// A Forward that is a unary call; a protocol says how it is asked for and answered.
class UnaryForwardCall : public UnaryCall, public WaitingForward {
 public:
  std::string_view flow() const final { return terms().name; }
  std::chrono::system_clock::time_point deadline() const final {
    return std::min(UnaryCall::deadline(), terms().deadline);
  }
  std::chrono::nanoseconds least_time() const final { return LeastTime(); }
  bool CanRunWith(const QueuedCall& other) const final { return MayJoin(other); }

 protected:
  UnaryForwardCall(const Method& method, LayerHost& host,
                   grpc::GenericCallbackServerContext* context)
      : UnaryCall(method, context), WaitingForward(host) {}

  // What the request asks for. Errors as of Accept().
  virtual StatusOr<ForwardTerms> TakeTerms() = 0;
  // Ends the call.
  virtual void AnswerWith(const ForwardResult& result) = 0;

 private:
  Status Accept() final;
  void AskForTurn() final { SubmitTo(queue(), *this); }
  void GiveUpTurn() final { AbandonIn(queue(), *this); }
  void Serve(std::span<QueuedCall* const> companions) final { ComputeWith(companions); }
  void BeginTurn() final { NoteTurn(); }
  void EndWith(const ForwardJob& job) final;
};

// As tconv.v1 has it. `host` and `memory` must outlive it.
class ForwardCall final : public UnaryForwardCall {
 public:
  ForwardCall(const Method& method, LayerHost& host, const SharedMemory& memory,
              grpc::GenericCallbackServerContext* context)
      : UnaryForwardCall(method, host, context), memory_(memory) {}

 private:
  google::protobuf::Message& request() override { return request_; }
  StatusOr<ForwardTerms> TakeTerms() override;
  void AnswerWith(const ForwardResult& result) override;

  const SharedMemory& memory_;
  v1::ForwardRequest request_;
};

}  // namespace tconv::server
