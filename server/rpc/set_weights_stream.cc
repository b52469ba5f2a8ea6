#include "server/rpc/set_weights_stream.h"

#include <tconv/v1/transposed_conv.pb.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "server/rpc/stream_call.h"
#include "server/rpc/stream_parts.h"
#include "server/wire/tensor_codec.h"

namespace tconv::server {
namespace {

using Reactor = grpc::ServerReadReactor<grpc::ByteBuffer>;

// Of the weights that a start announces.
struct WeightsTypes {
  TensorType kernel;
  std::optional<TensorType> bias;

  int64_t size_bytes() const {
    return kernel.size_bytes() + (bias.has_value() ? bias->size_bytes() : 0);
  }
};

StatusOr<WeightsTypes> TypesOf(const v1::SetWeightsStreamStart& start) {
  WeightsTypes types;
  const auto kernel = TypeFromProto(start.kernel());
  if (!kernel.ok()) return InField("kernel", kernel.status());
  types.kernel = *kernel;
  if (!start.has_bias()) return types;
  const auto bias = TypeFromProto(start.bias());
  if (!bias.ok()) return InField("bias", bias.status());
  types.bias = *bias;
  return types;
}

class SetWeightsStreamCall final : public StreamReactor<Reactor> {
 public:
  SetWeightsStreamCall(LayerHost& host, const Method& method, grpc::CallbackServerContext& context,
                       grpc::ByteBuffer& response)
      : StreamReactor(method, context), host_(host), response_(response) {}

  // The change waits for the disk.
  bool computes() const override { return false; }

 private:
  void OnReadDone(bool ok) override { React(this, &SetWeightsStreamCall::TakeMessage, ok); }

  void Listen() override TCONV_REQUIRES(mutex_) {
    BeginReceiving();
    StartRead(&received_);
  }

  void TakeMessage(bool ok) TCONV_REQUIRES(mutex_) {
    EndReceiving();
    if (has_ended()) return;
    const Status status =
        ok ? TakePart() : InvalidField("end", "expected this part, the stream ended without it");
    if (!status.ok()) return End(status);
    const bool needs_turn = is_input_ended_ || !incoming_.has_value();
    needs_turn ? AskForTurn() : Listen();
  }

  Status TakePart() TCONV_REQUIRES(mutex_) {
    CountReceived(received_.Length());
    v1::SetWeightsStreamRequest request;
    TCONV_ASSIGN_OR_RETURN(codec::ReceivedPayloads data,
                           codec::ReceivedPayloads::Parse(&received_, &request));
    if (!incoming_.has_value()) return TakeStart(std::move(request));
    switch (request.part_case()) {
      case v1::SetWeightsStreamRequest::kData:
        TCONV_RETURN_IF_ERROR(incoming_->Receive(std::move(data)));
        MoveReceived();
        return OkStatus();
      case v1::SetWeightsStreamRequest::kEnd:
        is_input_ended_ = true;
        return incoming_->CheckEnd(request.end());
      default:
        return InvalidField("part", "expected data or end");
    }
  }

  // The store may have to be asked for the layer: that takes a turn.
  Status TakeStart(v1::SetWeightsStreamRequest request) TCONV_REQUIRES(mutex_) {
    if (!request.has_start()) return InvalidField("start", "expected this part first");
    start_ = std::move(*request.mutable_start());
    TCONV_RETURN_IF_ERROR(UseLayer(start_.name()));
    return Enter(0);
  }

  // Nothing is allocated before the weights are known to fit the layer.
  Status Open() {
    TCONV_ASSIGN_OR_RETURN(const WeightsTypes types, TypesOf(start_));
    const auto bias_shape =
        types.bias.has_value() ? std::optional(types.bias->shape) : std::nullopt;
    TCONV_RETURN_IF_ERROR(
        host_.CheckNewWeights(start_.name(), types.kernel.shape, bias_shape, IfVersion()));
    TCONV_RETURN_IF_ERROR(Enlarge(types.size_bytes() + static_cast<int64_t>(kMostDataBytes)));
    TCONV_ASSIGN_OR_RETURN(kernel_, Tensor::Allocate(types.kernel.dtype, types.kernel.shape));
    if (types.bias.has_value()) {
      TCONV_ASSIGN_OR_RETURN(bias_, Tensor::Allocate(types.bias->dtype, types.bias->shape));
    }
    MutexLock lock(mutex_);
    rooms_ = {RoomOf(kernel_), bias_.has_value() ? RoomOf(*bias_) : std::span<std::byte>()};
    incoming_.emplace(types.size_bytes());
    return OkStatus();
  }

  static std::span<std::byte> RoomOf(Tensor& tensor) {
    return {tensor.mutable_view().data, static_cast<size_t>(tensor.size_bytes())};
  }

  void MoveReceived() TCONV_REQUIRES(mutex_) {
    for (std::span<std::byte>& room : rooms_) {
      const size_t bytes = std::min(room.size(), incoming_->pending_bytes());
      incoming_->MoveTo(room.first(bytes));
      room = room.subspan(bytes);
    }
  }

  // The first turn opens, the second one is there once all has arrived.
  Status Work() override {
    return std::exchange(is_open_, true) ? Store() : InField("start", Open());
  }

  Status Store() {
    TCONV_ASSIGN_OR_RETURN(
        const int64_t version,
        host_.SetWeights(start_.name(), std::move(kernel_), std::move(bias_), IfVersion()));
    v1::SetWeightsStreamResponse response;
    response.set_weights_version(version);
    TCONV_ASSIGN_OR_RETURN(response_, codec::Encode(response));
    return OkStatus();
  }

  std::optional<int64_t> IfVersion() const {
    return start_.has_if_version() ? std::optional(start_.if_version()) : std::nullopt;
  }

  void Proceed() override TCONV_REQUIRES(mutex_) {
    if (!is_input_ended_) return Listen();
    CountSent(response_.Length());
    End(OkStatus());
  }

  LayerHost& host_;
  grpc::ByteBuffer& response_;  // gRPC's
  grpc::ByteBuffer received_;   // by the read under way

  // Of the turns.
  v1::SetWeightsStreamStart start_;
  bool is_open_ = false;
  Tensor kernel_;
  std::optional<Tensor> bias_;

  std::optional<IncomingElements> incoming_ TCONV_GUARDED_BY(mutex_);
  std::array<std::span<std::byte>, 2> rooms_ TCONV_GUARDED_BY(mutex_);  // not filled yet
  bool is_input_ended_ TCONV_GUARDED_BY(mutex_) = false;
};

}  // namespace

Reactor* StartSetWeightsStream(LayerHost& host, const Method& method,
                               grpc::CallbackServerContext& context, grpc::ByteBuffer& response) {
  auto* call = new SetWeightsStreamCall(host, method, context, response);
  call->Begin();
  return call;
}

}  // namespace tconv::server
