// Calls of Forward.
#pragma once

#include <tconv/v1/transposed_conv.pb.h>

#include <chrono>
#include <optional>
#include <span>
#include <string_view>

#include "server/base/status.h"
#include "server/host/forward_job.h"
#include "server/host/layer_host.h"
#include "server/rpc/unary_call.h"
#include "server/wire/tensor_codec.h"

namespace tconv::server {

// One Forward. Calls of one layer whose inputs have the same shape may be served
// together. `host` must outlive it.
class ForwardCall final : public UnaryCall {
 public:
  ForwardCall(const Method& method, LayerHost& host, grpc::GenericCallbackServerContext* context)
      : UnaryCall(method, context), host_(host) {}

  std::string_view flow() const override { return request_.name(); }
  std::chrono::nanoseconds least_time() const override { return outlook_.least_time; }
  bool CanRunWith(const QueuedCall& other) const override;

 private:
  google::protobuf::Message& request() override { return request_; }
  Status Accept() override;
  void Serve(std::span<QueuedCall* const> companions) override;
  void AnswerWith(const ForwardJob& job);

  LayerHost& host_;
  v1::ForwardRequest request_;
  std::optional<ReceivedTensor> input_;
  ForwardOutlook outlook_;
};

}  // namespace tconv::server
