#include "server/compute/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
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
  EXPECT_THAT(pool_->Run(1000, 0,
                         [&](int64_t i, std::byte*) {
                           ++done[static_cast<size_t>(i)];
                           return OkStatus();
                         }),
              IsOk());
  for (const auto& times : done) EXPECT_EQ(times, 1);
}

TEST_P(WorkerPoolTest, DoesNothingWithoutTasks) {
  EXPECT_THAT(pool_->Run(0, 0, [](int64_t, std::byte*) { return absl::InternalError("called"); }),
              IsOk());
}

TEST_P(WorkerPoolTest, StopsAtAnErrorAndReturnsIt) {
  std::atomic<int> done = 0;
  EXPECT_THAT(pool_->Run(100'000, 0,
                         [&](int64_t i, std::byte*) {
                           ++done;
                           return i == 3 ? absl::DataLossError("3") : OkStatus();
                         }),
              StatusIs(StatusCode::kDataLoss));
  EXPECT_LT(done, 100'000);
}

TEST_P(WorkerPoolTest, LendsEachRunningTaskItsOwnAlignedScratch) {
  constexpr size_t kBytes = 1000;
  EXPECT_THAT(pool_->Run(200, kBytes,
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
  EXPECT_THAT(pool_->Run(4, size_t{1} << 55, [](int64_t, std::byte*) { return OkStatus(); }),
              StatusIs(StatusCode::kResourceExhausted));
}

TEST_P(WorkerPoolTest, ServesManyCallersAtOnce) {
  std::atomic<int> done = 0;
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 8; ++caller) {
    callers.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        EXPECT_THAT(pool_->Run(20, 64,
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

TEST(WorkerPoolMakeTest, APoolOfOneWorksOnTheCallersThread) {
  const auto pool = WorkerPool::Make(1).value();
  std::set<std::thread::id> threads;
  EXPECT_THAT(pool->Run(10, 0,
                        [&](int64_t, std::byte*) {
                          threads.insert(std::this_thread::get_id());
                          return OkStatus();
                        }),
              IsOk());
  EXPECT_EQ(threads, std::set<std::thread::id>{std::this_thread::get_id()});
}

TEST(WorkerPoolMakeTest, RefusesLessThanOneThread) {
  EXPECT_THAT(WorkerPool::Make(0),
              StatusIs(StatusCode::kInvalidArgument, ::testing::HasSubstr("threads")));
}

}  // namespace
}  // namespace tconv::server
