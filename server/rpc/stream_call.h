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

// One call of a streaming method, the other half of a reactor of gRPC: its place
// in the house, its turns on handler threads and its one end. gRPC's threads
// only move messages; whatever takes time is done in turns, of which a call has
// one at a time.
//
// Whatever happens to the call is handled by a member function of the derived
// class that holds mutex_, through React(). The call ends after such a function
// has called End(), as soon as no turn is under way.
//
// A call ends when its caller does not send, or take, the next message in time.
class StreamCall : public QueuedCall, AwaitedPeer {
 public:
  // Goes on when it is known who calls. To be called once.
  void Begin() { React(this, &StreamCall::Admit); }

  std::string_view flow() const override { return flow_; }
  std::chrono::system_clock::time_point deadline() const override { return deadline_; }
  void Run(std::span<QueuedCall* const> companions) override;
  void Drop(const Status& why) override;

 protected:
  StreamCall(const Method& method, grpc::CallbackServerContext& context);

  // The caller is one who may make such calls.
  virtual void Listen() TCONV_REQUIRES(mutex_) = 0;
  // What a turn is for; on a handler thread, without mutex_.
  virtual Status Work() = 0;
  // Goes on after a turn, unless the call has ended.
  virtual void Proceed() TCONV_REQUIRES(mutex_) = 0;
  // Asks for a turn, and stops asking for it; without mutex_.
  virtual void Submit() { queue_.Submit(*this); }
  virtual void Abandon() { queue_.Abandon(*this); }
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

  // Names the layer that the call is about. PERMISSION_DENIED: not for this caller.
  Status UseLayer(std::string_view name) TCONV_REQUIRES(mutex_);
  // The call enters the house with so many bytes, then with more.
  Status Enter(int64_t bytes) TCONV_REQUIRES(mutex_);
  Status Enlarge(int64_t more_bytes);

  // Asks for a turn unless it waits for one or has one already. It is submitted
  // when mutex_ is released, for it may run or end at once.
  void AskForTurn() TCONV_REQUIRES(mutex_);

  // The first time counts.
  void End(const Status& status) TCONV_REQUIRES(mutex_);
  bool has_ended() const TCONV_REQUIRES(mutex_) { return end_.has_value(); }

  CallObserver& observer() TCONV_REQUIRES(mutex_) { return observer_; }

  // For the reactor's OnCancel() and OnDone().
  void Cancel();
  void LeaveHouse();

  AdmissionQueue& queue() { return queue_; }

  // A message is awaited from the caller, or by the caller, until it has arrived.
  void BeginReceiving() TCONV_REQUIRES(mutex_);
  void EndReceiving() TCONV_REQUIRES(mutex_);
  void BeginSending() TCONV_REQUIRES(mutex_);
  void EndSending() TCONV_REQUIRES(mutex_);
  bool is_receiving() const TCONV_REQUIRES(mutex_) { return is_receiving_; }
  bool is_sending() const TCONV_REQUIRES(mutex_) { return is_sending_; }

  void CountReceived(size_t bytes) TCONV_REQUIRES(mutex_) {
    bytes_in_ += static_cast<int64_t>(bytes);
  }
  void CountSent(size_t bytes) TCONV_REQUIRES(mutex_) { bytes_out_ += static_cast<int64_t>(bytes); }

  Mutex mutex_;

 private:
  // What is to be done and not while mutex_ is held: with it a turn may come, or
  // its end, or that of the call itself.
  enum class Next { kNothing, kSubmit, kGiveUpTurn, kFinish };

  void Admit() TCONV_REQUIRES(mutex_);
  // The time for the next message begins anew, or ends when none is awaited.
  void AwaitCaller() TCONV_REQUIRES(mutex_);
  void OnOverdue() final;
  void EndAsOverdue() TCONV_REQUIRES(mutex_);
  Next WhatIsNext() TCONV_REQUIRES(mutex_);
  void Do(Next next);
  void AfterTurn(Status status) TCONV_REQUIRES(mutex_);
  void EndAsCancelled() TCONV_REQUIRES(mutex_);

  const Door& door_;
  AdmissionQueue& queue_;
  const CallKind kind_;
  grpc::CallbackServerContext& context_;
  const std::chrono::system_clock::time_point deadline_;
  std::string flow_;  // not changed once a turn was asked for
  CallObserver observer_;
  CallObserver::Clock::time_point turn_wanted_;  // the present turn
  Caller caller_;
  std::optional<Stay> stay_;

  bool is_receiving_ TCONV_GUARDED_BY(mutex_) = false;
  bool is_sending_ TCONV_GUARDED_BY(mutex_) = false;
  bool wants_turn_ TCONV_GUARDED_BY(mutex_) = false;  // not submitted yet
  bool has_turn_ TCONV_GUARDED_BY(mutex_) = false;
  bool is_finished_ TCONV_GUARDED_BY(mutex_) = false;
  std::optional<Status> end_ TCONV_GUARDED_BY(mutex_);  // set once
  grpc::Status finish_;                                 // of the thread that finishes
  int64_t bytes_in_ TCONV_GUARDED_BY(mutex_) = 0;
  int64_t bytes_out_ TCONV_GUARDED_BY(mutex_) = 0;
};

// A StreamCall that is a reactor of gRPC, as one of these lives: until OnDone().
template <typename Reactor>
class StreamReactor : public Reactor, protected StreamCall {
 public:
  using StreamCall::Begin;

 protected:
  using StreamCall::StreamCall;

 private:
  void OnCancel() final { Cancel(); }
  void OnDone() final {
    LeaveHouse();
    delete this;
  }
  void FinishCall(const grpc::Status& status) final { this->Finish(status); }
};

}  // namespace tconv::server
