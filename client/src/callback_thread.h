// The thread on which asynchronous calls end.
#pragma once

#include <grpcpp/completion_queue.h>

#include <memory>

namespace tconv {

// gRPC has threads for callbacks too, but those stop with the last channel of
// the process: a callback that lets go of that channel makes its thread wait for
// itself. This thread belongs to nobody else, and it may destroy the connection
// that started it. Thread-safe.
class CallbackThread {
 public:
  // A call in flight.
  class Call {
   public:
    virtual ~Call() = default;
    // Delivers the answer. The call is destroyed afterwards.
    virtual void End() = 0;
  };

  CallbackThread();
  // Waits for nothing: calls in flight still end on the thread, and it ends with
  // the last of them.
  ~CallbackThread();
  CallbackThread(const CallbackThread&) = delete;
  CallbackThread& operator=(const CallbackThread&) = delete;

  // Where to start calls. The tag of each is its Call, released from its owner.
  grpc::CompletionQueue* queue() { return queue_.get(); }

 private:
  const std::shared_ptr<grpc::CompletionQueue> queue_;
};

}  // namespace tconv
