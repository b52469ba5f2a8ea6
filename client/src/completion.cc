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

CompletionThread::CompletionThread() : queue_(std::make_shared<grpc::CompletionQueue>()) {
  std::thread([queue = queue_] {
    while (Completion::HandleNext(*queue)) {
    }
  }).detach();
}

CompletionThread::~CompletionThread() { queue_->Shutdown(); }

}  // namespace tconv
