#include "server/host/admission_queue.h"

#include <algorithm>

namespace tconv::server {

AdmissionQueue::AdmissionQueue(const AdmissionLimits& limits) : limits_(limits) {
  for (int i = 0; i < limits_.handler_threads; ++i) threads_.emplace_back([this] { ServeCalls(); });
}

AdmissionQueue::~AdmissionQueue() {
  {
    MutexLock lock(mutex_);
    is_closed_ = true;
    is_stopping_ = true;
  }
  call_waits_.NotifyAll();
  for (std::thread& thread : threads_) thread.join();
}

Status AdmissionQueue::Submit(QueuedCall& call) {
  {
    MutexLock lock(mutex_);
    TCONV_RETURN_IF_ERROR(CheckRoomFor(call));
    ++calls_;
    bytes_ += call.bytes_held();
    waiting_.push_back(&call);
  }
  call_waits_.NotifyOne();
  return OkStatus();
}

Status AdmissionQueue::CheckRoomFor(const QueuedCall& call) const {
  if (is_closed_) return Status(StatusCode::kUnavailable, "the server is shutting down");
  if (calls_ >= limits_.handler_threads + limits_.max_waiting_calls) {
    return MakeError(StatusCode::kResourceExhausted,
                     "the server is busy with {} calls, try again later", calls_);
  }
  if (call.bytes_held() > limits_.max_bytes - bytes_) {
    return MakeError(StatusCode::kResourceExhausted,
                     "a request of {} bytes finds no room: other requests hold {} of {} bytes",
                     call.bytes_held(), bytes_, limits_.max_bytes);
  }
  return OkStatus();
}

void AdmissionQueue::Leave(const QueuedCall& call) {
  MutexLock lock(mutex_);
  --calls_;
  bytes_ -= call.bytes_held();
  if (calls_ == 0) idle_.NotifyAll();
}

void AdmissionQueue::Abandon(QueuedCall& call) {
  {
    MutexLock lock(mutex_);
    const auto found = std::find(waiting_.begin(), waiting_.end(), &call);
    if (found == waiting_.end()) return;
    waiting_.erase(found);
  }
  call.Drop();
}

void AdmissionQueue::ServeCalls() {
  for (;;) {
    QueuedCall* call = nullptr;
    {
      MutexLock lock(mutex_);
      while (waiting_.empty() && !is_stopping_) call_waits_.Wait(mutex_);
      if (waiting_.empty()) return;
      call = waiting_.front();
      waiting_.pop_front();
    }
    call->Run();
  }
}

void AdmissionQueue::Close() {
  MutexLock lock(mutex_);
  is_closed_ = true;
}

bool AdmissionQueue::WaitUntilIdle(std::chrono::steady_clock::time_point deadline) {
  MutexLock lock(mutex_);
  while (calls_ > 0) {
    if (!idle_.WaitUntil(mutex_, deadline)) return calls_ == 0;
  }
  return true;
}

}  // namespace tconv::server
