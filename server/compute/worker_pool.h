// The process's compute threads.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "server/base/mutex.h"
#include "server/base/status.h"
#include "server/compute/compute_slots.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

// Runs the tasks of a computation on the calling thread and on those of the
// pool. However many call, as many threads as the pool was made for do tasks at
// once: each has one of the pool's slots. Callers go before helpers, so that
// under load each computes alone and a lone one has all threads; and a caller
// makes room for others that press, between two tasks, so that a small
// computation does not wait for a huge one to end. Thread-safe.
//
// A thread that has just worked looks out for more for a moment before it
// sleeps: computations that follow each other closely need not wake it.
//
// Every thread that takes part lends its tasks a scratch memory of its own,
// which the pool keeps for the next computation.
class WorkerPool {
 public:
  struct Work {
    int64_t tasks = 0;
    size_t scratch_bytes = 0;  // for each thread
    // All tasks on one thread, roughly. The caller does alone what is done
    // before another thread could help.
    std::chrono::nanoseconds expected_time = std::chrono::nanoseconds::max();
  };

  // Does task `index`. `scratch` is 64-byte aligned and not initialized.
  // REQUIRES: does not throw, and does not call Run().
  using Task = std::function<Status(int64_t index, std::byte* scratch)>;

  // `threads` >= 1 counts the caller of Run(). INVALID_ARGUMENT (about
  // `threads`); RESOURCE_EXHAUSTED when the system gives no more threads.
  static StatusOr<std::unique_ptr<WorkerPool>> Make(int threads);

  // REQUIRES: no Run() is active.
  ~WorkerPool();

  int threads() const { return threads_; }

  // What a thread that has a ComputeSlot of these runs, it runs with that one;
  // the others wait for a slot, pressing, each time.
  ComputeSlots& slots() { return slots_; }
  const ComputeSlots& slots() const { return slots_; }

  // Calls task(0) ... task(work.tasks - 1), each once, and returns when all are
  // done. After an error the tasks not yet begun are left out and one of the
  // errors is returned. RESOURCE_EXHAUSTED without memory for the scratch.
  Status Run(const Work& work, const Task& task);

 private:
  struct Job;

  explicit WorkerPool(int threads)
      : threads_(threads), slots_(threads, [this] { WakeForFreeSlot(); }) {}

  // A task that a worker is about to do, if any.
  struct TakenTask {
    Job* job = nullptr;
    int64_t index = 0;
  };

  // Lets the workers see the job.
  void Offer(Job& job);
  bool IsWorthWaking(const Job& job) TCONV_REQUIRES(mutex_);
  void WakeForFreeSlot();
  void CountWoken(int workers) TCONV_REQUIRES(mutex_);
  // Returns when no worker is, or will be, inside of the job.
  void Withdraw(Job& job);

  void WorkerLoop();
  // A task and a slot to do it with; none when the pool ends.
  TakenTask AwaitTask();
  TakenTask TakeTask() TCONV_REQUIRES(mutex_);
  bool CanHelp() const { return has_jobs_.load() && slots_.free() > 0; }
  // Waits for a job without sleeping, for a moment.
  void LookOut() TCONV_REQUIRES(mutex_);
  // Waits for Offer() to wake this thread, which makes it one that looks again.
  void Sleep() TCONV_REQUIRES(mutex_);

  Tensor BorrowScratch();
  void ReturnScratch(Tensor scratch);

  const int threads_;
  ComputeSlots slots_;
  std::vector<std::thread> workers_;

  Mutex mutex_;
  CondVar woken_;
  CondVar job_left_;
  std::vector<Job*> jobs_ TCONV_GUARDED_BY(mutex_);  // that may have tasks to take
  std::chrono::steady_clock::time_point last_offer_ TCONV_GUARDED_BY(mutex_);
  bool stopping_ TCONV_GUARDED_BY(mutex_) = false;
  // Workers that look out for jobs, those being woken among them, and workers
  // that sleep. The others have tasks.
  int looking_ TCONV_GUARDED_BY(mutex_) = 0;
  int sleeping_ TCONV_GUARDED_BY(mutex_) = 0;
  int wake_ups_ TCONV_GUARDED_BY(mutex_) = 0;  // that no worker has followed yet
  std::vector<Tensor> idle_scratch_ TCONV_GUARDED_BY(mutex_);
  // Whether jobs_ has any, for those that look out without the mutex.
  std::atomic<bool> has_jobs_ = false;
};

}  // namespace tconv::server
