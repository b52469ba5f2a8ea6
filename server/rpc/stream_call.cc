#include "server/rpc/stream_call.h"

#include <grpcpp/server_context.h>

#include <new>

#include "proto/codec/stream_format.h"
#include "server/wire/status_codec.h"

namespace tconv::server {

StreamCall::StreamCall(const Method& method, grpc::CallbackServerContext& context)
    : queue_(*method.queue),
      context_(context),
      deadline_(context.deadline()),
      observer_(method.name, method.kind) {}

Status StreamCall::Enter(std::string_view layer, int64_t bytes) {
  flow_ = layer;
  observer_.set_layer(flow_);
  TCONV_RETURN_IF_ERROR(queue_.Enter(bytes));
  is_in_house_ = true;
  bytes_held_ = bytes;
  return OkStatus();
}

Status StreamCall::Enlarge(int64_t more_bytes) {
  TCONV_RETURN_IF_ERROR(queue_.Enlarge(more_bytes));
  bytes_held_ += more_bytes;
  return OkStatus();
}

void StreamCall::LeaveHouse() {
  if (is_in_house_) queue_.Leave(bytes_held_);
}

void StreamCall::AskForTurn() { wants_turn_ = !has_turn_; }

void StreamCall::Run(std::span<QueuedCall* const>) {
  const auto begin = CallObserver::Clock::now();
  observer_.times().queue += begin - turn_wanted_;
  Status status;
  try {
    status = Work();
  } catch (const std::bad_alloc&) {
    status = Status(StatusCode::kResourceExhausted, "not enough memory for this call");
  }
  observer_.times().compute += CallObserver::Clock::now() - begin;
  React(this, &StreamCall::AfterTurn, status);
}

void StreamCall::Drop(const Status& why) { React(this, &StreamCall::AfterTurn, why); }

void StreamCall::AfterTurn(Status status) {
  has_turn_ = false;
  if (!status.ok()) End(status);
  if (!has_ended()) Proceed();
}

void StreamCall::Cancel() { React(this, &StreamCall::EndAsCancelled); }

void StreamCall::EndAsCancelled() {
  End(deadline_ < std::chrono::system_clock::now()
          ? Status(StatusCode::kDeadlineExceeded, "the deadline passed before the stream ended")
          : Status(StatusCode::kCancelled, "the caller gave up before the stream ended"));
}

void StreamCall::End(const Status& status) {
  if (!end_.has_value()) end_ = status;
}

StreamCall::Next StreamCall::WhatIsNext() {
  if (!has_ended() && std::exchange(wants_turn_, false)) {
    has_turn_ = true;
    turn_wanted_ = CallObserver::Clock::now();
    return Next::kSubmit;
  }
  if (!has_ended() || is_finished_) return Next::kNothing;
  if (has_turn_) return Next::kGiveUpTurn;
  is_finished_ = true;
  observer_.set_request_bytes(bytes_in_);
  observer_.set_response_bytes(bytes_out_);
  observer_.Finish(*end_);
  finish_ = ToGrpcStatus(*end_);
  context_.AddTrailingMetadata(codec::kTimingKey, ToText(observer_.times()));
  return Next::kFinish;
}

void StreamCall::Do(Next next) {
  switch (next) {
    case Next::kNothing:
      return;
    case Next::kSubmit:
      return Submit();
    case Next::kGiveUpTurn:
      return Abandon();
    case Next::kFinish:
      return FinishCall(finish_);
  }
}

}  // namespace tconv::server
