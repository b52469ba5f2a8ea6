#include "server/host/admission_queue.h"

namespace tconv::server {
namespace {

using std::chrono::system_clock;

Status PastDeadline() {
  return Status(StatusCode::kDeadlineExceeded, "the deadline passed while the call waited");
}

}  // namespace

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

Status AdmissionQueue::Enter(int64_t bytes) {
  MutexLock lock(mutex_);
  if (is_closed_) return Status(StatusCode::kUnavailable, "the server is shutting down");
  if (calls_ >= limits_.handler_threads + limits_.max_waiting_calls) {
    return MakeError(StatusCode::kResourceExhausted,
                     "the server is busy with {} calls, try again later", calls_);
  }
  TCONV_RETURN_IF_ERROR(CheckRoomFor(bytes));
  ++calls_;
  bytes_ += bytes;
  return OkStatus();
}

Status AdmissionQueue::Enlarge(int64_t more_bytes) {
  MutexLock lock(mutex_);
  TCONV_RETURN_IF_ERROR(CheckRoomFor(more_bytes));
  bytes_ += more_bytes;
  return OkStatus();
}

Status AdmissionQueue::CheckRoomFor(int64_t bytes) const {
  if (bytes <= limits_.max_bytes - bytes_) return OkStatus();
  return MakeError(StatusCode::kResourceExhausted,
                   "a request of {} bytes finds no room: other requests hold {} of {} bytes", bytes,
                   bytes_, limits_.max_bytes);
}

void AdmissionQueue::Leave(int64_t bytes) {
  MutexLock lock(mutex_);
  --calls_;
  bytes_ -= bytes;
  if (calls_ == 0) idle_.NotifyAll();
}

void AdmissionQueue::Submit(QueuedCall& call) {
  {
    MutexLock lock(mutex_);
    queue_.Push(call);
  }
  call_waits_.NotifyOne();
}

void AdmissionQueue::Abandon(QueuedCall& call) {
  {
    MutexLock lock(mutex_);
    if (!queue_.Remove(call)) return;
  }
  call.Drop(call.deadline() < system_clock::now()
                ? PastDeadline()
                : Status(StatusCode::kCancelled, "the caller gave up while the call waited"));
}

void AdmissionQueue::ServeCalls() {
  for (;;) {
    FlowQueue::Group group;
    std::vector<QueuedCall*> expired;
    {
      MutexLock lock(mutex_);
      while (queue_.empty() && !is_stopping_) call_waits_.Wait(mutex_);
      if (queue_.empty()) return;
      group = queue_.TakeTurn(static_cast<size_t>(limits_.max_batch), system_clock::now(), expired);
    }
    for (QueuedCall* call : expired) call->Drop(PastDeadline());
    if (group.calls.empty()) continue;
    group.calls.front()->Run(std::span<QueuedCall* const>(group.calls).subspan(1));
    MutexLock lock(mutex_);
    queue_.FinishTurn(group);
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

int64_t AdmissionQueue::calls() const {
  MutexLock lock(mutex_);
  return calls_;
}

int64_t AdmissionQueue::bytes() const {
  MutexLock lock(mutex_);
  return bytes_;
}

int64_t AdmissionQueue::waiting() const {
  MutexLock lock(mutex_);
  return queue_.size();
}

}  // namespace tconv::server
