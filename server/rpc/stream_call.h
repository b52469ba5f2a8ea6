// What the calls of streams have in common.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "server/access/caller.h"
#include "server/base/mutex.h"
#include "server/base/status.h"
#include "server/host/admission_queue.h"
#include "server/host/stay.h"
#include "server/rpc/arrival_watch.h"
#include "server/rpc/call_observer.h"
#include "server/rpc/method.h"

namespace tconv::server {

// One call of a streaming method, the other half of a reactor of gRPC: who makes it,
// its messages and its one end. gRPC's threads only move messages; whatever takes
// time is work for a queue.
//
// Whatever happens to the call is handled by a member function of the derived
// class that holds mutex_, through React(). The call ends after such a function
// has called End(), as soon as no work is under way.
//
// A call ends when its caller does not send, or take, the next message in time.
class StreamCall : AwaitedPeer {
 public:
  // Goes on when it is known who calls. To be called once.
  void Begin() { React(this, &StreamCall::Admit); }

 protected:
  StreamCall(const Method& method, grpc::CallbackServerContext& context);

  // The caller is one who may make such calls.
  virtual void Listen() TCONV_REQUIRES(mutex_) = 0;
  // Whether there is work to submit, which is under way from now on.
  virtual bool BeginWork() TCONV_REQUIRES(mutex_) = 0;
  virtual bool IsWorking() const TCONV_REQUIRES(mutex_) = 0;
  // Submits the work, and stops asking for turns for it; without mutex_, and each by one
  // thread at a time: with them a turn may come, or its end, or that of the call itself.
  virtual void Submit() = 0;
  virtual void Abandon() = 0;
  // Whether the caller is to send something before the call can go on.
  virtual bool OwesMessage() const TCONV_REQUIRES(mutex_) { return is_receiving_; }
  // Reactor::Finish().
  virtual void FinishCall(const grpc::Status& status) = 0;

  // Handles something by (call->*handler)(arguments...).
  template <typename Call, typename... Arguments>
  void React(Call* call, void (Call::*handler)(Arguments...), Arguments... arguments) {
    Next next;
    {
      MutexLock lock(mutex_);
      (call->*handler)(std::move(arguments)...);
      next = WhatIsNext();
    }
    // With nothing left to do here, others may have ended the call already: this
    // is not to be touched any more.
    if (next != Next::kNothing) Do(next);
  }

  // Who calls.
  const Caller& caller() const TCONV_REQUIRES(mutex_) { return caller_; }
  // Comes into the house with so many bytes.
  StatusOr<Stay> EnterHouse(int64_t bytes) TCONV_REQUIRES(mutex_);

  // The first time counts.
  void End(const Status& status) TCONV_REQUIRES(mutex_);
  bool has_ended() const TCONV_REQUIRES(mutex_) { return end_.has_value(); }

  CallObserver& observer() TCONV_REQUIRES(mutex_) { return observer_; }

  // For the reactor's OnCancel() and OnDone().
  void Cancel();
  virtual void LeaveHouse();

  AdmissionQueue& queue() { return queue_; }
  std::chrono::system_clock::time_point call_deadline() const { return deadline_; }

  // A message is awaited from the caller, or by the caller, until it has arrived.
  void BeginReceiving() TCONV_REQUIRES(mutex_);
  void EndReceiving() TCONV_REQUIRES(mutex_);
  void BeginSending() TCONV_REQUIRES(mutex_);
  void EndSending() TCONV_REQUIRES(mutex_);
  bool is_receiving() const TCONV_REQUIRES(mutex_) { return is_receiving_; }
  bool is_sending() const TCONV_REQUIRES(mutex_) { return is_sending_; }
  // The time for the next message begins anew, or ends when none is awaited.
  void AwaitCaller() TCONV_REQUIRES(mutex_);

  void CountReceived(size_t bytes) TCONV_REQUIRES(mutex_) {
    bytes_in_ += static_cast<int64_t>(bytes);
  }
  void CountSent(size_t bytes) TCONV_REQUIRES(mutex_) { bytes_out_ += static_cast<int64_t>(bytes); }

  Mutex mutex_;

 private:
  // What is to be done and not while mutex_ is held.
  enum class Next { kNothing, kSubmit, kAbandon, kFinish };

  void Admit() TCONV_REQUIRES(mutex_);
  void OnOverdue() final;
  void EndAsOverdue() TCONV_REQUIRES(mutex_);
  Next WhatIsNext() TCONV_REQUIRES(mutex_);
  void Do(Next next);
  void EndAsCancelled() TCONV_REQUIRES(mutex_);

  const Door& door_;
  AdmissionQueue& queue_;
  const CallKind kind_;
  grpc::CallbackServerContext& context_;
  const std::chrono::system_clock::time_point deadline_;
  CallObserver observer_;
  Caller caller_;

  bool is_receiving_ TCONV_GUARDED_BY(mutex_) = false;
  bool is_sending_ TCONV_GUARDED_BY(mutex_) = false;
  bool is_to_abandon_ TCONV_GUARDED_BY(mutex_) = false;
  bool is_finished_ TCONV_GUARDED_BY(mutex_) = false;
  std::optional<Status> end_ TCONV_GUARDED_BY(mutex_);  // set once
  grpc::Status finish_;                                 // of the thread that finishes
  int64_t bytes_in_ TCONV_GUARDED_BY(mutex_) = 0;
  int64_t bytes_out_ TCONV_GUARDED_BY(mutex_) = 0;
};

// A StreamCall about one layer that works itself, in turns on handler threads, one at a time.
class WorkingStreamCall : public StreamCall, public QueuedCall {
 public:
  std::string_view flow() const override { return flow_; }
  std::chrono::system_clock::time_point deadline() const override { return call_deadline(); }
  void Run(std::span<QueuedCall* const> companions) override;
  void Drop(const Status& why) override;

 protected:
  using StreamCall::StreamCall;

  // What a turn is for; on a handler thread, without mutex_.
  virtual Status Work() = 0;
  // Goes on after a turn, unless the call has ended.
  virtual void Proceed() TCONV_REQUIRES(mutex_) = 0;
  // Without mutex_.
  void Submit() override { queue().Submit(*this); }
  void Abandon() override { queue().Abandon(*this); }

  // Names the layer that the call is about. PERMISSION_DENIED: not for this caller.
  Status UseLayer(std::string_view name) TCONV_REQUIRES(mutex_);
  // The call enters the house with so many bytes, then with more.
  Status Enter(int64_t bytes) TCONV_REQUIRES(mutex_);
  Status Enlarge(int64_t more_bytes);

  // Asks for a turn unless it waits for one or has one already. It is submitted
  // when mutex_ is released, for it may run or end at once.
  void AskForTurn() TCONV_REQUIRES(mutex_);

  void LeaveHouse() final;

 private:
  bool BeginWork() final TCONV_REQUIRES(mutex_);
  bool IsWorking() const final TCONV_REQUIRES(mutex_) { return has_turn_; }
  void AfterTurn(Status status, CallTimes times) TCONV_REQUIRES(mutex_);

  std::string flow_;                             // not changed once a turn was asked for
  CallObserver::Clock::time_point turn_wanted_;  // the present turn
  std::optional<Stay> stay_;
  bool wants_turn_ TCONV_GUARDED_BY(mutex_) = false;  // not submitted yet
  bool has_turn_ TCONV_GUARDED_BY(mutex_) = false;
};

// A StreamCall that is a reactor of gRPC, as one of these lives: until OnDone().
template <typename Reactor, typename Call = WorkingStreamCall>
class StreamReactor : public Reactor, protected Call {
 public:
  using Call::Begin;

 protected:
  using Call::Call;

 private:
  void OnCancel() final { this->Cancel(); }
  void OnDone() final {
    this->LeaveHouse();
    delete this;
  }
  void FinishCall(const grpc::Status& status) final { this->Finish(status); }
};

}  // namespace tconv::server
