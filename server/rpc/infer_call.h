// Calls of ModelInfer.
#pragma once

#include <inference/grpc_inference_service.pb.h>

#include "proto/codec/payload_codec.h"
#include "server/base/status.h"
#include "server/host/layer_host.h"
#include "server/rpc/forward_call.h"
#include "server/rpc/waiting_forward.h"
#include "server/wire/inference_codec.h"

namespace tconv::server {

// A request of ModelInfer, wherever it came from, with what it takes to answer it. Stays where it
// is, for the tensor that it gives is its own.
class InferRequest {
 public:
  InferRequest() = default;
  InferRequest(const InferRequest&) = delete;
  InferRequest& operator=(const InferRequest&) = delete;

  inference::ModelInferRequest& message() { return message_; }
  const inference::ModelInferRequest& message() const { return message_; }

  // What the message asks for; its payloads must outlive the terms. INVALID_ARGUMENT.
  StatusOr<ForwardTerms> TakeTerms(codec::ReceivedPayloads& payloads);

  // The answer but for raw elements, for which there is a place in it then.
  struct Answer {
    inference::ModelInferResponse message;
    bool is_raw = false;
  };
  Answer AnswerWith(const ForwardResult& result) const;

 private:
  inference::ModelInferRequest message_;
  InferTerms terms_;
};

// `host` must outlive it.
class InferCall final : public UnaryForwardCall {
 public:
  InferCall(const Method& method, LayerHost& host, grpc::GenericCallbackServerContext* context)
      : UnaryForwardCall(method, host, context) {}

 private:
  google::protobuf::Message& request() override { return request_.message(); }
  StatusOr<ForwardTerms> TakeTerms() override;
  void AnswerWith(const ForwardResult& result) override;

  InferRequest request_;
};

}  // namespace tconv::server
