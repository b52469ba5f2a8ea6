#include "server/host/admission_queue.h"

#include <algorithm>
#include <optional>

namespace tconv::server {
namespace {

using std::chrono::steady_clock;
using std::chrono::system_clock;

// What takes no longer computes sooner on the thread that brings it than another
// could be woken.
constexpr auto kWorthNoThread = std::chrono::microseconds(100);
// What takes no longer needs a slot no longer than those that have one may keep it
// from others.
constexpr auto kShort = std::chrono::milliseconds(1);

constexpr auto kLeastRetryDelay = std::chrono::milliseconds(10);
constexpr auto kMostRetryDelay = std::chrono::seconds(10);
// Calls over which their pace is averaged, roughly.
constexpr int kPaceCalls = 16;

bool IsKnownToTakeAtMost(const QueuedCall& call, std::chrono::nanoseconds limit) {
  const auto time = call.least_time();
  return time > std::chrono::nanoseconds(0) && time <= limit;
}

Status PastDeadline() {
  return Status(StatusCode::kDeadlineExceeded, "the deadline passed while the call waited");
}

}  // namespace

AdmissionQueue::AdmissionQueue(const AdmissionLimits& limits, ComputeSlots* slots)
    : limits_(limits), slots_(slots) {
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
    return RetryAfter(RetryDelay(),
                      MakeError(StatusCode::kResourceExhausted,
                                "the server is busy with {} calls, try again later", calls_));
  }
  TCONV_RETURN_IF_ERROR(CheckRoomFor(bytes));
  if (calls_ == 0) gap_begin_ = steady_clock::now();
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
  const Status error =
      MakeError(StatusCode::kResourceExhausted,
                "a request of {} bytes finds no room: other requests hold {} of {} bytes", bytes,
                bytes_, limits_.max_bytes);
  return bytes <= limits_.max_bytes ? RetryAfter(RetryDelay(), error) : error;
}

void AdmissionQueue::Leave(int64_t bytes) {
  MutexLock lock(mutex_);
  const auto now = steady_clock::now();
  mean_gap_ += (now - gap_begin_ - mean_gap_) / kPaceCalls;
  gap_begin_ = now;
  --calls_;
  bytes_ -= bytes;
  if (calls_ == 0) idle_.NotifyAll();
  if (limits_.batch_delay.count() > 0) company_.NotifyAll();
}

std::chrono::milliseconds AdmissionQueue::RetryDelay() const {
  const auto delay = std::chrono::duration_cast<std::chrono::milliseconds>(mean_gap_ * calls_);
  return std::clamp<std::chrono::milliseconds>(delay, kLeastRetryDelay, kMostRetryDelay);
}

void AdmissionQueue::Submit(QueuedCall& call) {
  std::optional<ComputeSlot> slot;
  if (slots_ != nullptr) slot.emplace(*slots_, /*gives_way=*/false);
  Status met;
  bool runs_here = false;
  {
    MutexLock lock(mutex_);
    met = CheckDeadline(call);
    runs_here = met.ok() && slot.has_value() && TakeSlotForShort(call, *slot);
    if (met.ok() && !runs_here) queue_.Push(call);
    if (runs_here) ++running_;
  }
  if (!met.ok()) return call.Drop(met);
  if (!runs_here) {
    call_waits_.NotifyOne();
    if (limits_.batch_delay.count() > 0) company_.NotifyAll();
    return;
  }
  call.Run({});
  MutexLock lock(mutex_);
  --running_;
}

bool AdmissionQueue::TakeSlotForShort(const QueuedCall& call, ComputeSlot& slot) {
  return !queue_.HasNext() && NeedsSlot(call) && !call.is_exclusive() &&
         IsKnownToTakeAtMost(call, kWorthNoThread) &&
         ComputeSlot::OfThisThread(*slots_) == nullptr && slot.TryTake();
}

Status AdmissionQueue::CheckDeadline(const QueuedCall& call) const {
  const auto deadline = call.deadline();
  if (deadline == system_clock::time_point::max()) return OkStatus();
  const int threads = slots_ != nullptr ? slots_->count() : limits_.handler_threads;
  const auto ahead = queue_.LeastTimeAhead(call, static_cast<size_t>(limits_.max_batch)) / threads;
  const auto needed = ahead + call.least_time();
  if (system_clock::now() + needed <= deadline) return OkStatus();
  return MakeError(StatusCode::kDeadlineExceeded,
                   "the deadline would pass: the answer takes {:.3g} ms at least",
                   std::chrono::duration<double, std::milli>(needed).count());
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
  std::optional<ComputeSlot> slot;
  if (slots_ != nullptr) slot.emplace(*slots_);
  MutexLock lock(mutex_);
  for (;;) {
    while (!HasWork() && !is_stopping_) call_waits_.Wait(mutex_);
    // What waits beside a thread that waits for a slot, that thread will run.
    if (!HasWork()) return;
    if (NeedsSlot(queue_.next())) AwaitSlot(*slot);
    ServeTurns(slot.has_value() && slot->is_held() ? &*slot : nullptr);
    if (slot.has_value()) slot->Return();
  }
}

bool AdmissionQueue::HasWork() const {
  if (!queue_.HasNext()) return false;
  if (!NeedsSlot(queue_.next())) return true;
  return !is_pressing_ && (!is_patient_ || UrgencyOfNext() == Urgency::kPressing);
}

Urgency AdmissionQueue::UrgencyOfNext() const {
  return queue_.HasRestingFlow() || IsKnownToTakeAtMost(queue_.next(), kShort) ? Urgency::kPressing
                                                                               : Urgency::kPatient;
}

void AdmissionQueue::AwaitSlot(ComputeSlot& slot) {
  if (slot.TryTake()) return;
  const Urgency urgency = UrgencyOfNext();
  bool& is_awaiting = urgency == Urgency::kPressing ? is_pressing_ : is_patient_;
  is_awaiting = true;
  mutex_.unlock();
  slot.Take(urgency);
  mutex_.lock();
  is_awaiting = false;
}

void AdmissionQueue::ServeTurns(ComputeSlot* slot) {
  while (queue_.HasNext() && NeedsSlot(queue_.next()) == (slot != nullptr)) {
    std::vector<QueuedCall*> expired;
    FlowQueue::Group group =
        queue_.TakeTurn(static_cast<size_t>(limits_.max_batch), system_clock::now(), expired);
    if (HasWork()) call_waits_.NotifyOne();
    AwaitCompany(group, expired);
    const auto calls = static_cast<int64_t>(group.calls.size());
    running_ += calls;
    mutex_.unlock();
    for (QueuedCall* call : expired) call->Drop(PastDeadline());
    if (calls > 0) group.calls.front()->Run(std::span<QueuedCall* const>(group.calls).subspan(1));
    if (slot != nullptr) slot->GiveWayIfDue();
    mutex_.lock();
    running_ -= calls;
    if (calls > 0) queue_.FinishTurn(group);
  }
}

void AdmissionQueue::AwaitCompany(FlowQueue::Group& group, std::vector<QueuedCall*>& expired) {
  const auto max_calls = static_cast<size_t>(limits_.max_batch);
  if (limits_.batch_delay.count() == 0 || group.calls.empty()) return;
  const QueuedCall& leader = *group.calls.front();
  if (!leader.CanRunWith(leader)) return;
  const auto end = steady_clock::now() + limits_.batch_delay;
  const auto others_may_come = [&]() TCONV_REQUIRES(mutex_) {
    return calls_ > running_ + queue_.size() + static_cast<int64_t>(group.calls.size());
  };
  while (group.calls.size() < max_calls && others_may_come()) {
    if (!company_.WaitUntil(mutex_, end)) return;
    queue_.TakeCompanions(max_calls, system_clock::now(), group, expired);
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
