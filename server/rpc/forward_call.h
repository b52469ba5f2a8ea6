// Calls of Forward.
#pragma once

#include <tconv/v1/transposed_conv.pb.h>

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "server/base/status.h"
#include "server/host/forward_job.h"
#include "server/host/layer_host.h"
#include "server/host/shared_memory.h"
#include "server/rpc/unary_call.h"
#include "server/tensor/tensor_source.h"

namespace tconv::server {

// One Forward. Calls of one layer whose inputs have the same shape may be served
// together. `host` and `memory` must outlive it.
class ForwardCall final : public UnaryCall {
 public:
  ForwardCall(const Method& method, LayerHost& host, const SharedMemory& memory,
              grpc::GenericCallbackServerContext* context)
      : UnaryCall(method, context), host_(host), memory_(memory) {}

  std::string_view flow() const override { return request_.name(); }
  std::chrono::nanoseconds least_time() const override { return outlook_.least_time; }
  bool CanRunWith(const QueuedCall& other) const override;

 private:
  google::protobuf::Message& request() override { return request_; }
  Status Accept() override;
  void AskForTurn() override;
  void GiveUpTurn() override;
  void Serve(std::span<QueuedCall* const> companions) override;
  void AnswerWith(const ForwardJob& job);

  LayerHost& host_;
  const SharedMemory& memory_;
  v1::ForwardRequest request_;
  std::unique_ptr<TensorSource> input_;
  std::optional<OutputRoom> room_;
  ForwardOutlook outlook_;
};

}  // namespace tconv::server
