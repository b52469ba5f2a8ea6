// The process's compute threads.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <thread>
#include <vector>

#include "server/base/mutex.h"
#include "server/base/status.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

// Runs the tasks of a computation on a fixed number of threads. The calling
// thread takes part, so a pool of one starts no thread and a lone task never
// waits for another thread to wake up. Thread-safe: many callers may share the
// pool, their tasks are taken in order of arrival.
//
// Every thread that takes part lends its tasks a scratch memory of its own,
// which the pool keeps for the next computation.
class WorkerPool {
 public:
  // Does task `index`. `scratch` is 64-byte aligned and not initialized.
  // REQUIRES: does not throw, and does not call Run().
  using Task = std::function<Status(int64_t index, std::byte* scratch)>;

  // `threads` >= 1 counts the caller of Run(). INVALID_ARGUMENT (about
  // `threads`); RESOURCE_EXHAUSTED when the system gives no more threads.
  static StatusOr<std::unique_ptr<WorkerPool>> Make(int threads);

  // REQUIRES: no Run() is active.
  ~WorkerPool();

  int threads() const { return threads_; }

  // Calls task(0) ... task(task_count - 1), each once, and returns when all are
  // done. After an error the tasks not yet begun are left out and one of the
  // errors is returned. RESOURCE_EXHAUSTED without memory for the scratch.
  Status Run(int64_t task_count, size_t scratch_bytes, const Task& task);

 private:
  struct Job;

  explicit WorkerPool(int threads) : threads_(threads) {}

  void WorkerLoop();
  // Takes tasks of `job` until none is left.
  Status TakeTasks(Job& job);
  StatusOr<Tensor> BorrowScratch(size_t bytes);
  void ReturnScratch(Tensor scratch);

  const int threads_;
  std::vector<std::thread> workers_;

  Mutex mutex_;
  CondVar work_arrived_;
  CondVar helper_left_;
  std::list<Job*> jobs_ TCONV_GUARDED_BY(mutex_);  // that still have tasks to take
  bool stopping_ TCONV_GUARDED_BY(mutex_) = false;
  std::vector<Tensor> idle_scratch_ TCONV_GUARDED_BY(mutex_);
};

}  // namespace tconv::server
