#include "server/rpc/forward_stream.h"

#include <tconv/v1/transposed_conv.pb.h>

#include <memory>
#include <optional>
#include <utility>

#include "server/rpc/layer_info_codec.h"
#include "server/rpc/stream_call.h"
#include "server/rpc/stream_parts.h"
#include "server/wire/layer_codec.h"
#include "server/wire/tensor_codec.h"

namespace tconv::server {
namespace {

using Reactor = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;

class ForwardStreamCall final : public StreamReactor<Reactor> {
 public:
  ForwardStreamCall(LayerHost& host, const Method& method, grpc::CallbackServerContext& context)
      : StreamReactor(method, context), host_(host) {}

 private:
  void Listen() override TCONV_REQUIRES(mutex_) {
    BeginReceiving();
    StartRead(&received_);
  }
  void OnReadDone(bool ok) override { React(this, &ForwardStreamCall::TakeMessage, ok); }
  void OnWriteDone(bool ok) override { React(this, &ForwardStreamCall::AfterWrite, ok); }

  // ---- Receiving.

  void TakeMessage(bool ok) TCONV_REQUIRES(mutex_) {
    EndReceiving();
    if (has_ended()) return;
    Status status =
        ok ? TakePart() : InvalidField("end", "expected this part, the stream ended without it");
    if (!status.ok()) return End(status);
    if (session_ != nullptr) Proceed();
  }

  Status TakePart() TCONV_REQUIRES(mutex_) {
    CountReceived(received_.Length());
    v1::ForwardStreamRequest request;
    TCONV_ASSIGN_OR_RETURN(codec::ReceivedPayloads data,
                           codec::ReceivedPayloads::Parse(&received_, &request));
    if (session_ == nullptr) return TakeStart(std::move(request));
    switch (request.part_case()) {
      case v1::ForwardStreamRequest::kData:
        return incoming_->Receive(std::move(data));
      case v1::ForwardStreamRequest::kEnd:
        is_input_ended_ = true;
        return incoming_->CheckEnd(request.end());
      default:
        return InvalidField("part", "expected data or end");
    }
  }

  // The layer may have to be read from the store: that takes a turn.
  Status TakeStart(v1::ForwardStreamRequest request) TCONV_REQUIRES(mutex_) {
    if (!request.has_start()) return InvalidField("start", "expected this part first");
    start_ = std::move(*request.mutable_start());
    caller_of_start_ = caller();
    TCONV_RETURN_IF_ERROR(UseLayer(start_.name()));
    const Status valid = CheckMinVersion(start_.min_version());
    if (!valid.ok()) return InField("start", valid);
    TCONV_RETURN_IF_ERROR(Enter(0));
    AskForTurn();
    return OkStatus();
  }

  // The first turn waits for the version.
  void Submit() override {
    if (session_ != nullptr) return WorkingStreamCall::Submit();
    host_.SubmitWithVersion(start_.name(), start_.min_version(), *this, queue());
  }

  void Abandon() override {
    if (!host_.AbandonWaiter(*this)) WorkingStreamCall::Abandon();
  }

  // Moves what was received to where it is computed. False when there is no place
  // for more yet.
  StatusOr<bool> MoveReceived() TCONV_REQUIRES(mutex_) {
    while (true) {
      TCONV_ASSIGN_OR_RETURN(const std::span<std::byte> room, session_->Room());
      const size_t bytes = std::min(room.size(), incoming_->pending_bytes());
      if (bytes == 0) return !room.empty() || incoming_->is_complete();
      incoming_->MoveTo(room.first(bytes));
      session_->Fill(bytes);
    }
  }

  // ---- Computing.

  Status Work() override { return session_ == nullptr ? Open() : session_->Compute(); }

  Status Open() {
    const auto header = TypeFromProto(start_.input());
    if (!header.ok()) return InField("start.input", header.status());
    auto session =
        host_.StreamForward({start_.name(), header->dtype, header->shape, start_.compute_losses(),
                             start_.min_version(), &caller_of_start_});
    if (!session.ok()) return InField("start", session.status());
    TCONV_RETURN_IF_ERROR(
        Enlarge((*session)->buffer_bytes() + static_cast<int64_t>(kMostDataBytes)));
    MutexLock lock(mutex_);
    session_ = *std::move(session);
    observer().set_forward(session_->facts());
    incoming_.emplace(session_->input_bytes());
    return OkStatus();
  }

  // ---- Sending.

  void AfterWrite(bool ok) TCONV_REQUIRES(mutex_) {
    EndSending();
    if (has_ended()) return;
    if (!ok) return End(Status(StatusCode::kCancelled, "the caller takes no more output"));
    if (is_end_sent_) return End(OkStatus());
    if (holds_output_ && outgoing_.IsEmpty()) {
      holds_output_ = false;
      session_->Release();
    }
    Proceed();
  }

  // The next part of the answer, if it is there already.
  void SendPart() TCONV_REQUIRES(mutex_) {
    if (!is_start_sent_) return SendStart();
    if (!holds_output_) {
      if (auto output = session_->Take()) {
        outgoing_.Put(std::move(output->owner), output->bytes);
        holds_output_ = true;
      }
    }
    if (holds_output_) {
      const codec::PlacedPayload data = {codec::kDataPath, outgoing_.Next()};
      Send(v1::ForwardStreamResponse(), {&data, 1});
    } else if (session_->IsDone() && is_input_ended_) {
      SendEnd();
    }
  }

  void SendStart() TCONV_REQUIRES(mutex_) {
    is_start_sent_ = true;
    v1::ForwardStreamResponse response;
    ToProto({session_->output_dtype(), session_->output_shape(), nullptr},
            response.mutable_start()->mutable_output());
    response.mutable_start()->set_weights_version(session_->weights_version());
    response.mutable_start()->set_data_format(ToProto(session_->data_format()));
    Send(response, {});
  }

  void SendEnd() TCONV_REQUIRES(mutex_) {
    is_end_sent_ = true;
    observer().set_forward(session_->facts());
    v1::ForwardStreamResponse response;
    *response.mutable_end()->mutable_end() = outgoing_.End();
    for (const Loss& loss : session_->losses()) {
      *response.mutable_end()->add_losses() = ToProto(loss);
    }
    Send(response, {});
  }

  void Send(const v1::ForwardStreamResponse& response, std::span<const codec::PlacedPayload> data)
      TCONV_REQUIRES(mutex_) {
    auto encoded = codec::Encode(response, data);
    if (!encoded.ok()) return End(encoded.status());
    sent_ = *std::move(encoded);
    CountSent(sent_.Length());
    BeginSending();
    StartWrite(&sent_);
  }

  // Whatever can go on does.
  void Proceed() override TCONV_REQUIRES(mutex_) {
    const StatusOr<bool> is_ready = MoveReceived();
    if (!is_ready.ok()) return End(is_ready.status());
    if (*is_ready && !is_receiving() && !is_input_ended_) Listen();
    if (!is_sending()) SendPart();
    if (session_->CanCompute()) AskForTurn();
  }

  LayerHost& host_;
  grpc::ByteBuffer received_;                // by the read under way
  grpc::ByteBuffer sent_;                    // by the write under way
  v1::ForwardStreamStart start_;             // of the turn that opens the session
  Caller caller_of_start_;                   // likewise
  std::unique_ptr<ForwardSession> session_;  // set once, by a turn, under mutex_

  std::optional<IncomingElements> incoming_ TCONV_GUARDED_BY(mutex_);
  OutgoingElements outgoing_ TCONV_GUARDED_BY(mutex_);
  bool is_input_ended_ TCONV_GUARDED_BY(mutex_) = false;
  bool is_start_sent_ TCONV_GUARDED_BY(mutex_) = false;
  bool holds_output_ TCONV_GUARDED_BY(mutex_) = false;  // that is not delivered yet
  bool is_end_sent_ TCONV_GUARDED_BY(mutex_) = false;
};

}  // namespace

Reactor* StartForwardStream(LayerHost& host, const Method& method,
                            grpc::CallbackServerContext& context) {
  auto* call = new ForwardStreamCall(host, method, context);
  call->Begin();
  return call;
}

}  // namespace tconv::server
