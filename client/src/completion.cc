#include "client/src/completion.h"

#include <thread>

namespace tconv {

bool Completion::HandleNext(grpc::CompletionQueue& queue) {
  void* tag = nullptr;
  bool ok = false;
  if (!queue.Next(&tag, &ok)) return false;
  static_cast<Completion*>(tag)->handler_(ok);
  return true;
}

std::unique_ptr<grpc::CompletionQueue> QueuePool::Take() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      auto queue = std::move(idle_.back());
      idle_.pop_back();
      return queue;
    }
  }
  return std::make_unique<grpc::CompletionQueue>();
}

void QueuePool::Return(std::unique_ptr<grpc::CompletionQueue> queue) {
  // More would be those of a burst of threads.
  constexpr size_t kMostIdle = 64;
  const std::lock_guard lock(mutex_);
  if (idle_.size() < kMostIdle) idle_.push_back(std::move(queue));
}

CompletionThread::CompletionThread() : queue_(std::make_shared<grpc::CompletionQueue>()) {
  std::thread([queue = queue_] {
    while (Completion::HandleNext(*queue)) {
    }
  }).detach();
}

CompletionThread::~CompletionThread() { queue_->Shutdown(); }

}  // namespace tconv
