#include "server/compute/worker_pool.h"

#include <algorithm>
#include <system_error>
#include <utility>

namespace tconv::server {
namespace {

using std::chrono::steady_clock;

// A rare huge computation should not hold its memory for ever.
constexpr int64_t kMaxKeptScratchBytes = int64_t{64} << 20;
// Nor should a burst of callers.
constexpr size_t kMaxKeptScratchPerThread = 2;

// How long a thread looks out before it sleeps: about what it takes to wake it
// up again, so that the processor time spent on looking stays in proportion to
// the time saved.
constexpr auto kLookOutTime = std::chrono::microseconds(100);
// Between two looks; each costs a transfer of a cache line and two calls.
constexpr int kPausesPerLook = 16;

// To see a job and to leave it costs a worker that looks out about 1 us.
constexpr auto kWorthSharing = std::chrono::microseconds(10);
// To wake a worker costs its waker some microseconds, and it arrives after tens
// of them. Shorter jobs wake it only when one follows the other so closely that
// it will be looking out for the next.
constexpr auto kWorthWaking = std::chrono::microseconds(100);

// Tells the processor that this thread waits for another.
inline void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits a moment for `condition` without sleeping, and returns it. Gives way
// at every look, for on a busy machine the other thread may need this
// processor.
template <typename Condition>
bool LookOutFor(Condition condition) {
  if (condition()) return true;
  const auto deadline = steady_clock::now() + kLookOutTime;
  do {
    for (int i = 0; i < kPausesPerLook; ++i) Pause();
    std::this_thread::yield();
    if (condition()) return true;
  } while (steady_clock::now() < deadline);
  return false;
}

// Makes `scratch` as large as `bytes`, at least.
Status Reserve(size_t bytes, Tensor& scratch) {
  if (scratch.size_bytes() >= static_cast<int64_t>(bytes)) return OkStatus();
  scratch = Tensor();  // first, for both at once may be too much
  const auto floats = static_cast<int64_t>((bytes + sizeof(float) - 1) / sizeof(float));
  TCONV_ASSIGN_OR_RETURN(scratch, Tensor::Allocate(DType::kFloat32, Shape{floats}));
  return OkStatus();
}

}  // namespace

// Lives on the stack of Run().
struct WorkerPool::Job {
  Job(const Work& the_work, const Task& the_task) : work(the_work), task(the_task) {}

  int64_t TakeIndex() { return next_task.fetch_add(1, std::memory_order_relaxed); }

  // Does task `index`, if there is one, and further ones that nobody else takes,
  // as long as `goes_on`, which is asked between two.
  template <typename Condition>
  Status DoTasks(int64_t index, Tensor& scratch, Condition goes_on) {
    while (index < work.tasks) {
      const Status status = DoTask(index, scratch);
      if (!status.ok()) {
        next_task.store(work.tasks, std::memory_order_relaxed);
        return status;
      }
      if (next_task.load(std::memory_order_relaxed) >= work.tasks || !goes_on()) break;
      index = TakeIndex();
    }
    return OkStatus();
  }

  Status DoTask(int64_t index, Tensor& scratch) const {
    TCONV_RETURN_IF_ERROR(Reserve(work.scratch_bytes, scratch));
    return task(index, scratch.mutable_view().data);
  }

  const Work& work;
  const Task& task;
  std::atomic<int64_t> next_task = 0;
  // Workers that are doing tasks. Changes under the pool's mutex; a worker that
  // has left does not touch the job again.
  std::atomic<int> helpers = 0;
  Status error;  // of a helper; written under the pool's mutex, read when all have left
};

StatusOr<std::unique_ptr<WorkerPool>> WorkerPool::Make(int threads) {
  if (threads < 1) return InvalidField("threads", "expected at least 1, got {}", threads);
  std::unique_ptr<WorkerPool> pool(new WorkerPool(threads));
  try {
    for (int i = 1; i < threads; ++i) {
      pool->workers_.emplace_back([raw = pool.get()] { raw->WorkerLoop(); });
    }
  } catch (const std::system_error& error) {
    return MakeError(StatusCode::kResourceExhausted, "cannot start {} compute threads: {}", threads,
                     error.what());
  }
  return pool;
}

WorkerPool::~WorkerPool() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  woken_.NotifyAll();
  for (std::thread& worker : workers_) worker.join();
}

Status WorkerPool::Run(const Work& work, const Task& task) {
  ComputeSlot own_slot(slots_);
  ComputeSlot* slot = ComputeSlot::OfThisThread(slots_);
  if (slot == nullptr) {
    own_slot.Take(Urgency::kPressing);
    slot = &own_slot;
  }
  Job job(work, task);
  Tensor scratch = work.scratch_bytes > 0 ? BorrowScratch() : Tensor();
  const bool is_shared = work.tasks > 1 && !workers_.empty() && work.expected_time >= kWorthSharing;
  if (is_shared) Offer(job);
  Status status = job.DoTasks(job.TakeIndex(), scratch, [&] {
    slot->GiveWayIfDue();
    return true;
  });
  if (is_shared) {
    Withdraw(job);
    if (status.ok()) status = job.error;
  }
  if (work.scratch_bytes > 0) ReturnScratch(std::move(scratch));
  return status;
}

void WorkerPool::Offer(Job& job) {
  int woken = 0;
  {
    MutexLock lock(mutex_);
    jobs_.push_back(&job);
    has_jobs_.store(true);
    if (IsWorthWaking(job)) {
      const int64_t helpers = std::min<int64_t>(job.work.tasks - 1, slots_.free());
      woken = static_cast<int>(std::clamp<int64_t>(helpers - looking_, 0, sleeping_));
      CountWoken(woken);
    }
  }
  for (; woken > 0; --woken) woken_.NotifyOne();
}

// Workers that found no free slot sleep, be there jobs or not.
void WorkerPool::WakeForFreeSlot() {
  if (!CanHelp()) return;
  {
    MutexLock lock(mutex_);
    const bool is_worth_waking = std::ranges::any_of(
        jobs_, [](const Job* job) { return job->work.expected_time >= kWorthWaking; });
    if (!is_worth_waking || looking_ > 0 || sleeping_ == 0) return;
    CountWoken(1);
  }
  woken_.NotifyOne();
}

void WorkerPool::CountWoken(int workers) {
  sleeping_ -= workers;
  looking_ += workers;
  wake_ups_ += workers;
}

bool WorkerPool::IsWorthWaking(const Job& job) {
  const auto now = steady_clock::now();
  const auto previous_offer = std::exchange(last_offer_, now);
  return job.work.expected_time >= kWorthWaking || now - previous_offer < kLookOutTime;
}

void WorkerPool::Withdraw(Job& job) {
  {
    MutexLock lock(mutex_);
    std::erase(jobs_, &job);
    has_jobs_.store(!jobs_.empty());
  }
  const auto is_left = [&] { return job.helpers.load(std::memory_order_acquire) == 0; };
  if (LookOutFor(is_left)) return;
  MutexLock lock(mutex_);
  while (!is_left()) job_left_.Wait(mutex_);
}

void WorkerPool::WorkerLoop() {
  Tensor scratch;
  while (true) {
    const auto [job, first_task] = AwaitTask();
    if (job == nullptr) return;
    const Status status = job->DoTasks(first_task, scratch, [&] { return !slots_.IsAwaited(); });
    slots_.Return();
    if (scratch.size_bytes() > kMaxKeptScratchBytes) scratch = Tensor();

    MutexLock lock(mutex_);
    if (job->error.ok()) job->error = status;
    if (job->helpers.fetch_sub(1, std::memory_order_release) == 1) job_left_.NotifyAll();
  }
}

WorkerPool::TakenTask WorkerPool::AwaitTask() {
  MutexLock lock(mutex_);
  ++looking_;
  TakenTask taken = TakeTask();
  while (taken.job == nullptr && !stopping_) {
    if (slots_.free() > 0) LookOut();
    if (!CanHelp()) Sleep();
    taken = TakeTask();
  }
  --looking_;
  return taken;
}

void WorkerPool::LookOut() {
  mutex_.unlock();
  LookOutFor([&] { return CanHelp(); });
  mutex_.lock();
}

void WorkerPool::Sleep() {
  --looking_;
  ++sleeping_;
  while (wake_ups_ == 0 && !stopping_) woken_.Wait(mutex_);
  --wake_ups_;
}

// A worker enters a job with a task in hand only, for the job's owner waits for
// those inside.
WorkerPool::TakenTask WorkerPool::TakeTask() {
  if (jobs_.empty() || !slots_.TryTake()) return {};
  while (!jobs_.empty()) {
    Job* job = jobs_.front();
    const int64_t index = job->TakeIndex();
    if (index < job->work.tasks) {
      job->helpers.fetch_add(1, std::memory_order_relaxed);
      return {job, index};
    }
    jobs_.erase(jobs_.begin());
  }
  has_jobs_.store(false);
  slots_.Return();
  return {};
}

Tensor WorkerPool::BorrowScratch() {
  MutexLock lock(mutex_);
  if (idle_scratch_.empty()) return Tensor();
  Tensor scratch = std::move(idle_scratch_.back());
  idle_scratch_.pop_back();
  return scratch;
}

void WorkerPool::ReturnScratch(Tensor scratch) {
  if (scratch.size_bytes() > kMaxKeptScratchBytes) return;
  MutexLock lock(mutex_);
  if (idle_scratch_.size() >= kMaxKeptScratchPerThread * static_cast<size_t>(threads_)) return;
  idle_scratch_.push_back(std::move(scratch));
}

}  // namespace tconv::server
