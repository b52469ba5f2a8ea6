#include "server/rpc/unary_call.h"

#include <charconv>
#include <string>
#include <utility>

#include "proto/codec/stream_format.h"
#include "server/wire/status_codec.h"

namespace tconv::server {
namespace {

// Larger than any message: what is not a number is refused as too large.
constexpr int64_t kUnreadableSize = INT64_MAX;

// What the caller says about the size of its message; 0: nothing.
int64_t AnnouncedBytes(const grpc::GenericCallbackServerContext& context) {
  const auto& metadata = context.client_metadata();
  const auto found = metadata.find(codec::kMessageBytesKey);
  if (found == metadata.end()) return 0;
  const grpc::string_ref text = found->second;
  int64_t bytes = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
  const bool is_size = error == std::errc() && end == text.data() + text.size() && bytes >= 0;
  return is_size ? bytes : kUnreadableSize;
}

Status CheckSize(int64_t bytes, int64_t limit) {
  if (bytes <= limit) return OkStatus();
  return MakeError(StatusCode::kResourceExhausted,
                   "a request of {} bytes is larger than the {} that the server takes", bytes,
                   limit);
}

}  // namespace

UnaryCall::UnaryCall(const Method& method, grpc::GenericCallbackServerContext* context)
    : door_(*method.door),
      queue_(*method.queue),
      kind_(method.kind),
      max_request_bytes_(method.max_request_bytes),
      context_(*context),
      deadline_(context->deadline()),
      observer_(method, TraceOf(*context)) {}

void UnaryCall::Begin() {
  if (const Status entered = Enter(); !entered.ok()) return End(entered);
  door_.arrivals().Await(*this);
  StartRead(&request_buffer_);
}

Status UnaryCall::Enter() {
  TCONV_ASSIGN_OR_RETURN(caller_, door_.Identify(context_, kind_));
  observer_.set_caller(caller_.name());
  const int64_t bytes = AnnouncedBytes(context_);
  TCONV_RETURN_IF_ERROR(CheckSize(bytes, max_request_bytes_));
  TCONV_ASSIGN_OR_RETURN(Stay stay, door_.Enter(queue_, caller_, bytes));
  stay_.emplace(std::move(stay));
  return OkStatus();
}

Status UnaryCall::UseLayer(const std::string& name) {
  observer_.set_layer(name);
  return caller_.CheckLayer(name);
}

void UnaryCall::OnReadDone(bool is_read) {
  if (!door_.arrivals().Settle(*this)) return;  // it has ended
  if (!is_read) return End(Status(StatusCode::kInvalidArgument, "expected a request, got none"));
  if (const Status taken = TakeRequest(); !taken.ok()) return End(taken);
  submitted_ = CallObserver::Clock::now();
  AskForTurn();
}

Status UnaryCall::TakeRequest() {
  const auto bytes = static_cast<int64_t>(request_buffer_.Length());
  observer_.set_request_bytes(bytes);
  if (bytes > stay_->bytes()) TCONV_RETURN_IF_ERROR(stay_->Enlarge(bytes - stay_->bytes()));
  TCONV_ASSIGN_OR_RETURN(payloads_, codec::ReceivedPayloads::Parse(&request_buffer_, &request()));
  return Accept();
}

void UnaryCall::Answer(const google::protobuf::Message& message,
                       std::span<const codec::PlacedPayload> response_payloads) {
  const auto begin = CallObserver::Clock::now();
  StatusOr<grpc::ByteBuffer> encoded = codec::Encode(message, response_payloads);
  if (!encoded.ok()) return End(encoded.status());
  response_buffer_ = *std::move(encoded);
  auto shared_bytes = int64_t{0};
  for (const auto& placed : response_payloads) {
    shared_bytes += static_cast<int64_t>(placed.payload.size_bytes);
  }
  const auto bytes = static_cast<int64_t>(response_buffer_.Length());
  observer_.set_response_bytes(bytes);
  observer_.set_copied_bytes(static_cast<int64_t>(payloads_.copied_bytes()), bytes - shared_bytes);
  observer_.times().serialize = CallObserver::Clock::now() - begin;
  observer_.Finish(OkStatus());
  observer_.AddTrailersTo(context_);
  StartWriteAndFinish(&response_buffer_, grpc::WriteOptions(), grpc::Status::OK);
}

void UnaryCall::End(const Status& status) {
  observer_.Finish(status);
  observer_.AddTrailersTo(context_);
  Finish(ToGrpcStatus(status));
}

void UnaryCall::OnOverdue() {
  End(MakeError(StatusCode::kDeadlineExceeded, "the request did not arrive within {} s",
                std::chrono::duration<double>(door_.arrivals().limit()).count()));
}

void UnaryCall::OnDone() {
  door_.arrivals().Forget(*this);
  delete this;
}

}  // namespace tconv::server
