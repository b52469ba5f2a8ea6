#include "server/rpc/get_weights_stream.h"

#include <tconv/v1/transposed_conv.pb.h>

#include <memory>
#include <utility>

#include "server/rpc/stream_call.h"
#include "server/rpc/stream_parts.h"
#include "server/wire/tensor_codec.h"

namespace tconv::server {
namespace {

using Reactor = grpc::ServerGenericBidiReactor;

std::span<const std::byte> BytesOf(const Tensor& tensor) {
  return {tensor.view().data, static_cast<size_t>(tensor.size_bytes())};
}

class GetWeightsStreamCall final : public StreamReactor<Reactor> {
 public:
  GetWeightsStreamCall(LayerHost& host, const Method& method,
                       grpc::GenericCallbackServerContext& context)
      : StreamReactor(method, context), host_(host) {}

 private:
  void OnReadDone(bool ok) override { React(this, &GetWeightsStreamCall::TakeMessage, ok); }
  void OnWriteDone(bool ok) override { React(this, &GetWeightsStreamCall::AfterWrite, ok); }

  void Listen() override TCONV_REQUIRES(mutex_) {
    BeginReceiving();
    StartRead(&received_);
  }

  void TakeMessage(bool ok) TCONV_REQUIRES(mutex_) {
    EndReceiving();
    if (has_ended()) return;
    const Status taken =
        ok ? TakeRequest() : Status(StatusCode::kInvalidArgument, "expected a request, got none");
    if (!taken.ok()) return End(taken);
    AskForTurn();
  }

  Status TakeRequest() TCONV_REQUIRES(mutex_) {
    CountReceived(received_.Length());
    TCONV_RETURN_IF_ERROR(codec::ReceivedPayloads::Parse(&received_, &request_).status());
    TCONV_RETURN_IF_ERROR(UseLayer(request_.name()));
    return Enter(0);
  }

  // The weights may have to be read from the store.
  Status Work() override {
    TCONV_ASSIGN_OR_RETURN(std::shared_ptr<const Weights> weights,
                           host_.GetWeights(request_.name()));
    TCONV_RETURN_IF_ERROR(Enlarge(weights->size_bytes()));
    MutexLock lock(mutex_);
    weights_ = std::move(weights);
    return OkStatus();
  }

  void Proceed() override TCONV_REQUIRES(mutex_) { SendStart(); }

  void AfterWrite(bool ok) TCONV_REQUIRES(mutex_) {
    EndSending();
    if (has_ended()) return;
    if (!ok) return End(Status(StatusCode::kCancelled, "the caller takes no more weights"));
    if (is_end_sent_) return End(OkStatus());
    if (outgoing_.IsEmpty() && !is_bias_begun_ && weights_->bias.has_value()) {
      is_bias_begun_ = true;
      outgoing_.Put(weights_, BytesOf(*weights_->bias));
    }
    outgoing_.IsEmpty() ? SendEnd() : SendData();
  }

  void SendStart() TCONV_REQUIRES(mutex_) {
    v1::GetWeightsStreamResponse response;
    v1::GetWeightsStreamStart& start = *response.mutable_start();
    ToProto(weights_->kernel.view(), start.mutable_kernel());
    if (weights_->bias.has_value()) ToProto(weights_->bias->view(), start.mutable_bias());
    start.set_weights_version(weights_->version);
    outgoing_.Put(weights_, BytesOf(weights_->kernel));
    Send(response, {});
  }

  void SendData() TCONV_REQUIRES(mutex_) {
    const codec::PlacedPayload data = {codec::kDataPath, outgoing_.Next()};
    Send(v1::GetWeightsStreamResponse(), {&data, 1});
  }

  void SendEnd() TCONV_REQUIRES(mutex_) {
    is_end_sent_ = true;
    v1::GetWeightsStreamResponse response;
    *response.mutable_end() = outgoing_.End();
    Send(response, {});
  }

  void Send(const v1::GetWeightsStreamResponse& response,
            std::span<const codec::PlacedPayload> data) TCONV_REQUIRES(mutex_) {
    auto encoded = codec::Encode(response, data);
    if (!encoded.ok()) return End(encoded.status());
    sent_ = *std::move(encoded);
    CountSent(sent_.Length());
    BeginSending();
    StartWrite(&sent_);
  }

  LayerHost& host_;
  grpc::ByteBuffer received_;  // the request
  grpc::ByteBuffer sent_;      // by the write under way
  v1::GetWeightsStreamRequest request_;
  std::shared_ptr<const Weights> weights_ TCONV_GUARDED_BY(mutex_);
  OutgoingElements outgoing_ TCONV_GUARDED_BY(mutex_);
  bool is_bias_begun_ TCONV_GUARDED_BY(mutex_) = false;
  bool is_end_sent_ TCONV_GUARDED_BY(mutex_) = false;
};

}  // namespace

Reactor* StartGetWeightsStream(LayerHost& host, const Method& method,
                               grpc::GenericCallbackServerContext& context) {
  auto* call = new GetWeightsStreamCall(host, method, context);
  call->Begin();
  return call;
}

}  // namespace tconv::server
