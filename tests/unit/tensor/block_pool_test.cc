#include "server/tensor/block_pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

namespace tconv::server {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

TEST(BlockPoolTest, MemoryIsUsedAgain) {
  const auto pool = BlockPool::Make(64 * kMiB);
  const std::byte* first = pool->Take(3 * kMiB)->data();
  EXPECT_EQ(pool->idle_bytes(), static_cast<int64_t>(3 * kMiB));
  EXPECT_EQ(pool->Take(3 * kMiB)->data(), first);
  EXPECT_EQ(pool->Take(3 * kMiB - 100)->data(), first) << "a little too large is good enough";
}

TEST(BlockPoolTest, MemoryMuchTooLargeIsLeftForOthers) {
  const auto pool = BlockPool::Make(64 * kMiB);
  const std::byte* large = pool->Take(16 * kMiB)->data();
  {
    const Block small = *pool->Take(kMiB);
    EXPECT_NE(small.data(), large);
  }
  EXPECT_EQ(pool->Take(16 * kMiB)->data(), large);
}

TEST(BlockPoolTest, TwoUsersNeverShareMemory) {
  const auto pool = BlockPool::Make(64 * kMiB);
  { const Block warm_up = *pool->Take(kMiB); }
  const Block one = *pool->Take(kMiB);
  const Block other = *pool->Take(kMiB);
  EXPECT_NE(one.data(), other.data());
}

TEST(BlockPoolTest, KeepsNoMoreThanItMay) {
  const auto pool = BlockPool::Make(4 * kMiB);
  {
    std::vector<Block> blocks;
    for (int i = 0; i < 10; ++i) blocks.push_back(*pool->Take(kMiB));
  }
  EXPECT_EQ(pool->idle_bytes(), static_cast<int64_t>(4 * kMiB));
  { const Block too_large = *pool->Take(5 * kMiB); }
  EXPECT_LE(pool->idle_bytes(), static_cast<int64_t>(4 * kMiB));
}

TEST(BlockPoolTest, BlocksOutliveThePool) {
  auto pool = BlockPool::Make(64 * kMiB);
  std::optional<Block> block = *pool->Take(kMiB);
  pool.reset();
  std::memset(block->data(), 1, kMiB);
  block.reset();
}

TEST(BlockPoolTest, SaysWhenThereIsNoMemory) {
  EXPECT_EQ(BlockPool::Make(0)->Take(size_t{1} << 62).status().code(),
            StatusCode::kResourceExhausted);
}

TEST(BlockPoolTest, ManyThreadsEachHaveTheirOwn) {
  const auto pool = BlockPool::Make(8 * kMiB);
  std::vector<std::thread> threads;
  for (int id = 0; id < 4; ++id) {
    threads.emplace_back([&pool, id] {
      for (int round = 0; round < 200; ++round) {
        const size_t bytes = 100'000 + static_cast<size_t>(round % 7) * 5'000;
        const Block block = *pool->Take(bytes);
        std::memset(block.data(), id, bytes);
        ASSERT_EQ(block.data()[bytes / 2], static_cast<std::byte>(id));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace tconv::server
