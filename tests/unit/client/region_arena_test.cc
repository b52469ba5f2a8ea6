#include "client/src/region_arena.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <vector>

namespace tconv::internal {
namespace {

TEST(RegionArenaTest, RegionsAreAlignedAndApart) {
  RegionArena arena(1024);
  const auto first = arena.Take(1);
  const auto second = arena.Take(65);
  const auto empty = arena.Take(0);
  ASSERT_TRUE(first && second && empty);
  EXPECT_EQ(first->offset, 0u);
  EXPECT_EQ(second->offset, 64u);
  EXPECT_EQ(empty->offset, 192u);
  EXPECT_EQ(second->bytes, 128u);
}

TEST(RegionArenaTest, NothingIsGivenOutBeyondTheEnd) {
  RegionArena arena(130);
  EXPECT_FALSE(arena.Take(129));
  EXPECT_FALSE(arena.Take(std::numeric_limits<size_t>::max()));
  EXPECT_TRUE(arena.Take(128));
  EXPECT_FALSE(arena.Take(0));
  EXPECT_FALSE(RegionArena(63).Take(1));
}

TEST(RegionArenaTest, ReturnedNeighboursBecomeOneGap) {
  RegionArena arena(192);
  const auto a = *arena.Take(64);
  const auto b = *arena.Take(64);
  const auto c = *arena.Take(64);
  arena.Return(a);
  arena.Return(c);
  EXPECT_FALSE(arena.Take(128));
  arena.Return(b);
  EXPECT_TRUE(arena.Take(192));
}

TEST(RegionArenaTest, RegionsNeverOverlapAndAllComesBack) {
  constexpr size_t kBytes = 1 << 14;
  RegionArena arena(kBytes);
  std::vector<Region> taken;
  std::vector<bool> is_used(kBytes);
  std::minstd_rand random(1);
  for (int i = 0; i < 5000; ++i) {
    if (random() % 2 == 0) {
      const auto region = arena.Take(random() % 1000);
      if (!region) continue;
      for (size_t at = region->offset; at < region->offset + region->bytes; ++at) {
        ASSERT_LT(at, kBytes);
        ASSERT_FALSE(is_used[at]);
        is_used[at] = true;
      }
      taken.push_back(*region);
    } else if (!taken.empty()) {
      std::swap(taken[random() % taken.size()], taken.back());
      const Region region = taken.back();
      std::fill_n(is_used.begin() + static_cast<ptrdiff_t>(region.offset), region.bytes, false);
      arena.Return(region);
      taken.pop_back();
    }
  }
  for (const Region& region : taken) arena.Return(region);
  EXPECT_TRUE(arena.Take(kBytes));
}

}  // namespace
}  // namespace tconv::internal
