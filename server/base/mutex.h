// std::mutex with the annotations of Clang's thread-safety analysis, so that
// -Wthread-safety checks TCONV_GUARDED_BY.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define TCONV_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define TCONV_THREAD_ANNOTATION(x)
#endif

#define TCONV_GUARDED_BY(mutex) TCONV_THREAD_ANNOTATION(guarded_by(mutex))
#define TCONV_REQUIRES(...) TCONV_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define TCONV_EXCLUDES(...) TCONV_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))

namespace tconv::server {

class TCONV_THREAD_ANNOTATION(capability("mutex")) Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() TCONV_THREAD_ANNOTATION(acquire_capability()) { mutex_.lock(); }
  void unlock() TCONV_THREAD_ANNOTATION(release_capability()) { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

// Holds a Mutex for a scope.
class TCONV_THREAD_ANNOTATION(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) TCONV_THREAD_ANNOTATION(acquire_capability(mutex))
      : mutex_(mutex) {
    mutex_.lock();
  }
  ~MutexLock() TCONV_THREAD_ANNOTATION(release_capability()) { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

// A condition variable that waits on a Mutex the caller holds. There is no
// form with a predicate: a loop around Wait() keeps the guarded reads in the
// function that the analysis sees holding the mutex.
class CondVar {
 public:
  void Wait(Mutex& mutex) TCONV_REQUIRES(mutex) { condition_.wait(mutex); }
  // False when `deadline` has passed.
  bool WaitUntil(Mutex& mutex, std::chrono::steady_clock::time_point deadline)
      TCONV_REQUIRES(mutex) {
    return condition_.wait_until(mutex, deadline) == std::cv_status::no_timeout;
  }
  void NotifyOne() { condition_.notify_one(); }
  void NotifyAll() { condition_.notify_all(); }

 private:
  std::condition_variable_any condition_;
};

}  // namespace tconv::server
