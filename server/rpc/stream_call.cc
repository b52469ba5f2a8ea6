#include "server/rpc/stream_call.h"

#include <grpcpp/server_context.h>

#include <new>

#include "server/wire/status_codec.h"

namespace tconv::server {

StreamCall::StreamCall(const Method& method, grpc::CallbackServerContext& context)
    : door_(*method.door),
      queue_(*method.queue),
      kind_(method.kind),
      context_(context),
      deadline_(context.deadline()),
      observer_(method, TraceOf(context)) {}

void StreamCall::Admit() {
  StatusOr<Caller> caller = door_.Identify(context_, kind_);
  if (!caller.ok()) return End(caller.status());
  caller_ = *std::move(caller);
  observer_.set_caller(caller_.name());
  Listen();
}

StatusOr<Stay> StreamCall::EnterHouse(int64_t bytes) { return door_.Enter(queue_, caller_, bytes); }

void StreamCall::LeaveHouse() { door_.arrivals().Forget(*this); }

void StreamCall::BeginReceiving() {
  is_receiving_ = true;
  AwaitCaller();
}

void StreamCall::EndReceiving() {
  is_receiving_ = false;
  AwaitCaller();
}

void StreamCall::BeginSending() {
  is_sending_ = true;
  AwaitCaller();
}

void StreamCall::EndSending() {
  is_sending_ = false;
  AwaitCaller();
}

void StreamCall::AwaitCaller() {
  if (OwesMessage() || is_sending_) return door_.arrivals().Await(*this);
  door_.arrivals().Settle(*this);
}

void StreamCall::OnOverdue() { React(this, &StreamCall::EndAsOverdue); }

void StreamCall::EndAsOverdue() {
  End(MakeError(StatusCode::kDeadlineExceeded,
                "the caller neither sent nor took a message for {} s",
                std::chrono::duration<double>(door_.arrivals().limit()).count()));
  // The end would wait behind a message that nobody takes.
  if (is_sending_) context_.TryCancel();
}

void StreamCall::Cancel() { React(this, &StreamCall::EndAsCancelled); }

void StreamCall::EndAsCancelled() {
  End(deadline_ < std::chrono::system_clock::now()
          ? Status(StatusCode::kDeadlineExceeded, "the deadline passed before the stream ended")
          : Status(StatusCode::kCancelled, "the caller gave up before the stream ended"));
}

void StreamCall::End(const Status& status) {
  if (!end_.has_value()) end_ = status;
  is_to_abandon_ = true;
}

StreamCall::Next StreamCall::WhatIsNext() {
  if (!has_ended() && BeginWork()) return Next::kSubmit;
  if (!has_ended() || is_finished_) return Next::kNothing;
  if (IsWorking()) return std::exchange(is_to_abandon_, false) ? Next::kAbandon : Next::kNothing;
  is_finished_ = true;
  observer_.set_request_bytes(bytes_in_);
  observer_.set_response_bytes(bytes_out_);
  observer_.Finish(*end_);
  finish_ = ToGrpcStatus(*end_);
  observer_.AddTrailersTo(context_);
  return Next::kFinish;
}

void StreamCall::Do(Next next) {
  switch (next) {
    case Next::kNothing:
      return;
    case Next::kSubmit:
      return Submit();
    case Next::kAbandon:
      return Abandon();
    case Next::kFinish:
      return FinishCall(finish_);
  }
}

// ---- Streams that work in turns.

Status WorkingStreamCall::UseLayer(std::string_view name) {
  flow_ = name;
  observer().set_layer(flow_);
  return caller().CheckLayer(flow_);
}

Status WorkingStreamCall::Enter(int64_t bytes) {
  TCONV_ASSIGN_OR_RETURN(Stay stay, EnterHouse(bytes));
  stay_.emplace(std::move(stay));
  return OkStatus();
}

Status WorkingStreamCall::Enlarge(int64_t more_bytes) { return stay_->Enlarge(more_bytes); }

void WorkingStreamCall::LeaveHouse() {
  StreamCall::LeaveHouse();
  stay_.reset();
}

void WorkingStreamCall::AskForTurn() { wants_turn_ = !has_turn_; }

bool WorkingStreamCall::BeginWork() {
  if (!std::exchange(wants_turn_, false)) return false;
  has_turn_ = true;
  turn_wanted_ = CallObserver::Clock::now();
  return true;
}

void WorkingStreamCall::Run(std::span<QueuedCall* const>) {
  const auto begin = CallObserver::Clock::now();
  Status status;
  try {
    status = Work();
  } catch (const std::bad_alloc&) {
    status = OutOfMemory();
  }
  React(this, &WorkingStreamCall::AfterTurn, status,
        CallTimes{.queue = begin - turn_wanted_, .compute = CallObserver::Clock::now() - begin});
}

void WorkingStreamCall::Drop(const Status& why) {
  React(this, &WorkingStreamCall::AfterTurn, why, CallTimes());
}

void WorkingStreamCall::AfterTurn(Status status, CallTimes times) {
  has_turn_ = false;
  observer().times().queue += times.queue;
  observer().times().compute += times.compute;
  if (!status.ok()) End(status);
  if (!has_ended()) Proceed();
}

}  // namespace tconv::server
