// What happens when an operation of gRPC ends.
#pragma once

#include <grpcpp/completion_queue.h>

#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace tconv {

// A handler whose address is the tag of an operation. Outlives the operation.
class Completion {
 public:
  // `ok` as the operation defines it.
  using Handler = std::function<void(bool ok)>;

  explicit Completion(Handler handler) : handler_(std::move(handler)) {}
  Completion(const Completion&) = delete;
  Completion& operator=(const Completion&) = delete;

  void* tag() { return this; }

  // Waits until an operation on the queue ends, and handles that. False: there
  // are none left, and the queue is shut down.
  static bool HandleNext(grpc::CompletionQueue& queue);

 private:
  const Handler handler_;
};

// Queues for threads that each wait for a call of their own. To make one takes
// about as long as a short call, so they are used again. Thread-safe.
class QueuePool {
 public:
  // A queue of its own for the caller, on which nothing is pending.
  std::unique_ptr<grpc::CompletionQueue> Take();
  // REQUIRES: nothing is pending on it.
  void Return(std::unique_ptr<grpc::CompletionQueue> queue);

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<grpc::CompletionQueue>> idle_;
};

// A thread that handles what ends on its queue.
//
// gRPC has threads for callbacks too, but those stop with the last channel of
// the process: a callback that lets go of that channel makes its thread wait for
// itself. This thread belongs to nobody else, and may let go of everything, this
// object included. Thread-safe.
class CompletionThread {
 public:
  CompletionThread();
  // Waits for nothing; the thread ends by itself.
  // REQUIRES: no operation is pending.
  ~CompletionThread();
  CompletionThread(const CompletionThread&) = delete;
  CompletionThread& operator=(const CompletionThread&) = delete;

  grpc::CompletionQueue& queue() { return *queue_; }

 private:
  const std::shared_ptr<grpc::CompletionQueue> queue_;
};

}  // namespace tconv
