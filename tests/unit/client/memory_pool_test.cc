#include "client/src/memory_pool.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <thread>
#include <vector>

#include "tests/support/status_matchers.h"

namespace tconv {
namespace {

using tconv::testing::IsOk;
using tconv::testing::StatusIs;

constexpr size_t kMiB = size_t{1} << 20;

TEST(MemoryPoolTest, HandsOutAlignedMemoryOfEverySize) {
  for (const size_t bytes :
       {size_t{0}, size_t{1}, size_t{65}, kMiB, 2 * kMiB, 2 * kMiB + 1, 5 * kMiB}) {
    const auto memory = AllocateMemory(bytes);
    ASSERT_THAT(memory, IsOk());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory->get()) % 64, 0u) << bytes;
    std::memset(memory->get(), 1, bytes);
  }
}

TEST(MemoryPoolTest, RefusesWhatNoMachineHas) {
  for (const size_t bytes : {std::numeric_limits<size_t>::max(), size_t{1} << 62}) {
    EXPECT_THAT(AllocateMemory(bytes), StatusIs(absl::StatusCode::kResourceExhausted));
  }
}

TEST(MemoryPoolTest, UsesABlockAgainThatFits) {
  const auto pool = MemoryPool::Create(16 * kMiB);
  const std::byte* const first = pool->Allocate(4 * kMiB)->get();
  EXPECT_EQ(pool->Allocate(3 * kMiB)->get(), first);
  EXPECT_NE(pool->Allocate(kMiB)->get(), first) << "most of the block would be wasted";
}

TEST(MemoryPoolTest, NeverHandsOutABlockThatIsInUse) {
  const auto pool = MemoryPool::Create(16 * kMiB);
  const auto first = pool->Allocate(kMiB);
  const auto second = pool->Allocate(kMiB);
  EXPECT_NE(first->get(), second->get());
}

TEST(MemoryPoolTest, KeepsTheBlocksLetGoLastWithinItsBound) {
  const auto pool = MemoryPool::Create(2 * kMiB);
  auto a = *pool->Allocate(kMiB);
  auto b = *pool->Allocate(kMiB);
  auto c = *pool->Allocate(kMiB);
  const std::vector<std::byte*> kept = {c.get(), b.get()};
  a.reset();
  b.reset();
  c.reset();
  a = *pool->Allocate(kMiB);
  b = *pool->Allocate(kMiB);
  EXPECT_EQ((std::vector<std::byte*>{a.get(), b.get()}), kept);
}

TEST(MemoryPoolTest, BlocksOutliveIt) {
  auto pool = MemoryPool::Create(16 * kMiB);
  const auto memory = *pool->Allocate(kMiB);
  pool.reset();
  std::memset(memory.get(), 1, kMiB);
}

TEST(MemoryPoolTest, ServesManyThreads) {
  const auto pool = MemoryPool::Create(4 * kMiB);
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&pool] {
      for (int i = 0; i < 200; ++i) **pool->Allocate(kMiB) = std::byte{1};
    });
  }
}

}  // namespace
}  // namespace tconv
