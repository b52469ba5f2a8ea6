#include "client/src/callback_thread.h"

#include <thread>

namespace tconv {

CallbackThread::CallbackThread() : queue_(std::make_shared<grpc::CompletionQueue>()) {
  std::thread([queue = queue_] {
    void* tag = nullptr;
    bool ok = false;
    while (queue->Next(&tag, &ok)) {
      const std::unique_ptr<Call> call(static_cast<Call*>(tag));
      call->End();
    }
  }).detach();
}

CallbackThread::~CallbackThread() { queue_->Shutdown(); }

}  // namespace tconv
