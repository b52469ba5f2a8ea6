// One call until its answer, with its attempts.
#pragma once

#include <absl/status/status.h>
#include <grpcpp/alarm.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/support/status.h>
#include <tconv/calls.h>
#include <tconv/options.h>

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "client/src/completion.h"
#include "client/src/endpoint.h"

namespace tconv {

// When a call that failed in passing may be made again.
enum class Repeatable { kNever, kIfItNeverLeft, kAlways };

// What is called, and on which terms. A copy starts nothing.
struct CallTerms {
  std::string method = {};  // "/package.Service/Method"
  std::string layer = {};   // that it is about; empty: none
  Repeatable repeatable = Repeatable::kNever;
  // Of all attempts; time_point::max(): none.
  std::chrono::system_clock::time_point deadline = {};
  std::stop_token cancellation = {};
  std::string traceparent = {};
};

// The part that all calls have in common: attempts with pauses, the deadline,
// cancellation, and errors in words. It lives on the heap, works on the thread
// that handles its queue, and destroys itself when it ends. Only cancellation
// comes from other threads.
class Call {
 public:
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

 protected:
  Call(std::shared_ptr<const Endpoint> endpoint, CallTerms terms, grpc::CompletionQueue& queue);
  virtual ~Call();

  // The first attempt. The call may be over, and gone, when this returns.
  void Start();
  // REQUIRES: no operation of the attempt is pending. As Start().
  void EndAttempt(absl::Status status);

  const Endpoint& endpoint() const { return *endpoint_; }
  const CallTerms& terms() const { return terms_; }
  grpc::CompletionQueue& queue() { return queue_; }
  // That of the attempt.
  grpc::ClientContext& context() { return *context_; }
  // Of an attempt that has ended.
  std::optional<ServerTiming> Timing() const;
  // The status of an attempt in the client's terms.
  absl::Status Explain(const grpc::Status& status) const;

 private:
  // Starts the operations of an attempt; EndAttempt() follows.
  virtual void StartAttempt() = 0;
  // Hands the result over; afterwards the call is destroyed.
  virtual void Deliver(absl::Status status) = 0;

  void Cancel();
  bool MayRepeatAfter(const absl::Status& status) const;
  // As RetryPolicy says: of the client's own, and with what the server asks for.
  std::chrono::milliseconds OwnDelay() const;
  std::chrono::milliseconds DelayAfter(const absl::Status& status) const;

  const std::shared_ptr<const Endpoint> endpoint_;
  const CallTerms terms_;
  grpc::CompletionQueue& queue_;
  int attempts_ = 0;
  Completion pause_ended_;
  std::mutex cancelling_;
  // The rest is guarded by cancelling_ against Cancel().
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<grpc::Alarm> pause_;  // null before the first
  std::optional<std::stop_callback<std::function<void()>>> on_stop_;
};

}  // namespace tconv
