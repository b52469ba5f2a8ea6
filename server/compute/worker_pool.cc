#include "server/compute/worker_pool.h"

#include <system_error>
#include <utility>

namespace tconv::server {
namespace {

// A rare huge computation should not hold its memory for ever.
constexpr int64_t kMaxKeptScratchBytes = int64_t{64} << 20;
// Nor should a burst of callers.
constexpr size_t kMaxKeptScratchPerThread = 2;

}  // namespace

// Lives on the stack of Run().
struct WorkerPool::Job {
  Job(const Task& job_task, int64_t count, size_t bytes)
      : task(job_task), task_count(count), scratch_bytes(bytes) {}

  const Task& task;
  const int64_t task_count;
  const size_t scratch_bytes;
  std::atomic<int64_t> next_task = 0;
  int helpers = 0;  // workers inside TakeTasks(); guarded by the pool's mutex
  Status error;     // of a helper; guarded by the pool's mutex
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
  work_arrived_.NotifyAll();
  for (std::thread& worker : workers_) worker.join();
}

Status WorkerPool::Run(int64_t task_count, size_t scratch_bytes, const Task& task) {
  Job job(task, task_count, scratch_bytes);
  if (task_count <= 1 || workers_.empty()) return TakeTasks(job);

  {
    MutexLock lock(mutex_);
    jobs_.push_back(&job);
  }
  work_arrived_.NotifyAll();
  const Status own_error = TakeTasks(job);

  MutexLock lock(mutex_);
  jobs_.remove(&job);
  while (job.helpers > 0) helper_left_.Wait(mutex_);
  return own_error.ok() ? job.error : own_error;
}

void WorkerPool::WorkerLoop() {
  while (true) {
    Job* job = nullptr;
    {
      MutexLock lock(mutex_);
      while (jobs_.empty() && !stopping_) work_arrived_.Wait(mutex_);
      if (stopping_) return;
      job = jobs_.front();
      ++job->helpers;
    }
    const Status error = TakeTasks(*job);

    MutexLock lock(mutex_);
    jobs_.remove(job);  // nothing is left to take
    if (job->error.ok()) job->error = error;
    --job->helpers;
    helper_left_.NotifyAll();
  }
}

Status WorkerPool::TakeTasks(Job& job) {
  StatusOr<Tensor> scratch = BorrowScratch(job.scratch_bytes);
  Status status = scratch.status();
  while (status.ok()) {
    const int64_t index = job.next_task.fetch_add(1, std::memory_order_relaxed);
    if (index >= job.task_count) break;
    status = job.task(index, scratch->mutable_view().data);
  }
  if (!status.ok()) job.next_task.store(job.task_count, std::memory_order_relaxed);
  if (scratch.ok()) ReturnScratch(*std::move(scratch));
  return status;
}

StatusOr<Tensor> WorkerPool::BorrowScratch(size_t bytes) {
  if (bytes == 0) return Tensor();
  {
    MutexLock lock(mutex_);
    if (!idle_scratch_.empty()) {
      Tensor scratch = std::move(idle_scratch_.back());
      idle_scratch_.pop_back();
      if (scratch.size_bytes() >= static_cast<int64_t>(bytes)) return scratch;
    }
  }
  const auto floats = static_cast<int64_t>((bytes + sizeof(float) - 1) / sizeof(float));
  return Tensor::Allocate(DType::kFloat32, Shape{floats});
}

void WorkerPool::ReturnScratch(Tensor scratch) {
  const int64_t bytes = scratch.size_bytes();
  if (bytes == 0 || bytes > kMaxKeptScratchBytes) return;
  MutexLock lock(mutex_);
  if (idle_scratch_.size() >= kMaxKeptScratchPerThread * static_cast<size_t>(threads_)) return;
  idle_scratch_.push_back(std::move(scratch));
}

}  // namespace tconv::server
