#include "server/compute/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <latch>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::tconv::testing::IsOk;
using ::tconv::testing::StatusIs;

class WorkerPoolTest : public ::testing::TestWithParam<int> {
 protected:
  std::unique_ptr<WorkerPool> pool_ = WorkerPool::Make(GetParam()).value();
};

INSTANTIATE_TEST_SUITE_P(Threads, WorkerPoolTest, ::testing::Values(1, 2, 5));

TEST_P(WorkerPoolTest, DoesEveryTaskOnce) {
  std::vector<std::atomic<int>> done(1000);
  EXPECT_THAT(pool_->Run({.tasks = 1000},
                         [&](int64_t i, std::byte*) {
                           ++done[static_cast<size_t>(i)];
                           return OkStatus();
                         }),
              IsOk());
  for (const auto& times : done) EXPECT_EQ(times, 1);
}

TEST_P(WorkerPoolTest, DoesNothingWithoutTasks) {
  EXPECT_THAT(
      pool_->Run({.tasks = 0}, [](int64_t, std::byte*) { return absl::InternalError("called"); }),
      IsOk());
}

TEST_P(WorkerPoolTest, StopsAtAnErrorAndReturnsIt) {
  std::atomic<int> done = 0;
  EXPECT_THAT(pool_->Run({.tasks = 100'000},
                         [&](int64_t i, std::byte*) {
                           ++done;
                           return i == 3 ? absl::DataLossError("3") : OkStatus();
                         }),
              StatusIs(StatusCode::kDataLoss));
  EXPECT_LT(done, 100'000);
}

TEST_P(WorkerPoolTest, LendsEachRunningTaskItsOwnAlignedScratch) {
  constexpr size_t kBytes = 1000;
  EXPECT_THAT(pool_->Run({.tasks = 200, .scratch_bytes = kBytes},
                         [&](int64_t i, std::byte* scratch) -> Status {
                           if (reinterpret_cast<uintptr_t>(scratch) % Tensor::kAlignment != 0) {
                             return absl::InternalError("not aligned");
                           }
                           const auto mark = static_cast<unsigned char>(i);
                           std::memset(scratch, mark, kBytes);
                           std::this_thread::yield();
                           for (size_t b = 0; b < kBytes; ++b) {
                             if (scratch[b] != std::byte{mark})
                               return absl::InternalError("shared");
                           }
                           return OkStatus();
                         }),
              IsOk());
}

TEST_P(WorkerPoolTest, ReportsThatThereIsNoMemoryForScratch) {
  EXPECT_THAT(pool_->Run({.tasks = 4, .scratch_bytes = size_t{1} << 55},
                         [](int64_t, std::byte*) { return OkStatus(); }),
              StatusIs(StatusCode::kResourceExhausted));
}

TEST_P(WorkerPoolTest, ServesManyCallersAtOnce) {
  std::atomic<int> done = 0;
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 8; ++caller) {
    callers.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        EXPECT_THAT(pool_->Run({.tasks = 20, .scratch_bytes = 64},
                               [&](int64_t, std::byte*) {
                                 ++done;
                                 return OkStatus();
                               }),
                    IsOk());
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(done, 8 * 50 * 20);
}

TEST(SharedWorkerPoolTest, TasksRunOnAllThreadsAtOnce) {
  constexpr int kThreads = 3;
  const auto pool = WorkerPool::Make(kThreads).value();
  for (int round = 0; round < 100; ++round) {
    std::latch all_are_running(kThreads);
    EXPECT_THAT(pool->Run({.tasks = kThreads},
                          [&](int64_t, std::byte*) {
                            all_are_running.arrive_and_wait();
                            return OkStatus();
                          }),
                IsOk());
  }
}

TEST(SharedWorkerPoolTest, WorkersThatSleepAreWoken) {
  const auto pool = WorkerPool::Make(2).value();
  for (int round = 0; round < 20; ++round) {
    // Long enough for the worker to give up looking.
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1);
    while (std::chrono::steady_clock::now() < end) std::this_thread::yield();
    std::latch both_are_running(2);
    EXPECT_THAT(pool->Run({.tasks = 2},
                          [&](int64_t, std::byte*) {
                            both_are_running.arrive_and_wait();
                            return OkStatus();
                          }),
                IsOk());
  }
}

TEST(SharedWorkerPoolTest, ReturnsTheErrorOfAnotherThread) {
  const auto pool = WorkerPool::Make(2).value();
  const auto caller = std::this_thread::get_id();
  std::latch worker_failed(1);
  EXPECT_THAT(pool->Run({.tasks = 2},
                        [&](int64_t, std::byte*) {
                          if (std::this_thread::get_id() == caller) {
                            worker_failed.wait();
                            return OkStatus();
                          }
                          worker_failed.count_down();
                          return absl::DataLossError("on the worker");
                        }),
              StatusIs(StatusCode::kDataLoss));
}

TEST(SharedWorkerPoolTest, NoMoreTasksThanThreadsRunAtOnceHoweverManyCall) {
  constexpr int kThreads = 3;
  const auto pool = WorkerPool::Make(kThreads).value();
  std::atomic<int> running = 0;
  std::atomic<int> most = 0;
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 16; ++caller) {
    callers.emplace_back([&] {
      for (int round = 0; round < 20; ++round) {
        EXPECT_THAT(pool->Run({.tasks = 10},
                              [&](int64_t, std::byte*) {
                                const int now = ++running;
                                for (int seen = most; now > seen;) {
                                  if (most.compare_exchange_weak(seen, now)) break;
                                }
                                std::this_thread::yield();
                                --running;
                                return OkStatus();
                              }),
                    IsOk());
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_LE(most, kThreads);
}

// A computation that takes all slots of its pool until it is told to end.
class HugeRun {
 public:
  explicit HugeRun(WorkerPool& pool)
      : all_slots_are_taken_(pool.threads()), thread_([this, &pool] { Run(pool); }) {
    all_slots_are_taken_.wait();
  }
  ~HugeRun() {
    may_end_ = true;
    thread_.join();
  }

 private:
  void Run(WorkerPool& pool) {
    EXPECT_THAT(pool.Run({.tasks = 1 << 30},
                         [&](int64_t i, std::byte*) {
                           if (i < pool.threads()) all_slots_are_taken_.arrive_and_wait();
                           std::this_thread::yield();
                           return may_end_ ? absl::CancelledError() : OkStatus();
                         }),
                StatusIs(StatusCode::kCancelled));
  }

  std::atomic<bool> may_end_ = false;
  std::latch all_slots_are_taken_;
  std::thread thread_;
};

TEST_P(WorkerPoolTest, ASmallComputationFinishesWhileAHugeOneIsUnderWay) {
  const HugeRun huge(*pool_);
  for (int round = 0; round < 5; ++round) {
    EXPECT_THAT(pool_->Run({.tasks = 10}, [](int64_t, std::byte*) { return OkStatus(); }), IsOk());
  }
}

TEST_P(WorkerPoolTest, HugeComputationsTakeTurns) {
  const HugeRun first(*pool_);
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 3; ++caller) {
    callers.emplace_back([&] {
      const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(3);
      while (std::chrono::steady_clock::now() < end) {
        EXPECT_THAT(pool_->Run({.tasks = 100},
                               [](int64_t, std::byte*) {
                                 std::this_thread::yield();
                                 return OkStatus();
                               }),
                    IsOk());
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
}

TEST(SharedWorkerPoolTest, HelpersComeBackWhenASlotIsFreeAgain) {
  const auto pool = WorkerPool::Make(2).value();
  auto slot = std::make_unique<ComputeSlot>(pool->slots());
  slot->Take(Urgency::kPressing);
  std::latch began(1);
  std::latch both_are_running(2);
  std::thread caller([&] {
    EXPECT_THAT(pool->Run({.tasks = 3},
                          [&](int64_t i, std::byte*) {
                            if (i == 0) began.count_down();
                            if (i > 0) both_are_running.arrive_and_wait();
                            return OkStatus();
                          }),
                IsOk());
  });
  began.wait();
  slot->Return();
  caller.join();
}

// The threads that `work` runs on.
std::set<std::thread::id> ThreadsOf(WorkerPool& pool, const WorkerPool::Work& work) {
  std::mutex mutex;
  std::set<std::thread::id> threads;
  EXPECT_THAT(pool.Run(work,
                       [&](int64_t, std::byte*) {
                         const std::lock_guard lock(mutex);
                         threads.insert(std::this_thread::get_id());
                         return OkStatus();
                       }),
              IsOk());
  return threads;
}

TEST(SharedWorkerPoolTest, TheCallerDoesShortWorkAlone) {
  const auto pool = WorkerPool::Make(2).value();
  EXPECT_EQ(ThreadsOf(*pool, {.tasks = 1000, .expected_time = std::chrono::microseconds(1)}),
            std::set<std::thread::id>{std::this_thread::get_id()});
}

TEST(WorkerPoolMakeTest, APoolOfOneWorksOnTheCallersThread) {
  const auto pool = WorkerPool::Make(1).value();
  EXPECT_EQ(ThreadsOf(*pool, {.tasks = 10}), std::set<std::thread::id>{std::this_thread::get_id()});
}

TEST(WorkerPoolMakeTest, RefusesLessThanOneThread) {
  EXPECT_THAT(WorkerPool::Make(0),
              StatusIs(StatusCode::kInvalidArgument, ::testing::HasSubstr("threads")));
}

}  // namespace
}  // namespace tconv::server
