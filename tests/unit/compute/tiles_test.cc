#include "server/compute/tiles.h"

#include <gtest/gtest.h>

namespace tconv::server {
namespace {

TEST(TilesTest, SmallWorkIsOneTile) {
  EXPECT_EQ(RowsPerTile({.rows = 8, .positions = 8, .scratch_bytes = 1024, .multiplications = 99}),
            8);
}

TEST(TilesTest, LargeRowsAreTilesOfTheirOwn) {
  EXPECT_EQ(
      RowsPerTile(
          {.rows = 8, .positions = 4096, .scratch_bytes = 4 << 20, .multiplications = 1 << 30}),
      1);
}

TEST(TilesTest, ScratchBoundsATile) {
  const int64_t rows = RowsPerTile(
      {.rows = 1000, .positions = 16, .scratch_bytes = 64 << 10, .multiplications = 1000});
  EXPECT_LE(rows * (64 << 10), 1 << 20);
  EXPECT_GT(rows, 1);
}

TEST(TilesTest, TilesAreAboutEqual) {
  // 9 rows would fit; 10 rows in two tiles of 5 are better than 9 and 1.
  EXPECT_EQ(
      RowsPerTile(
          {.rows = 10, .positions = 32, .scratch_bytes = 56 << 10, .multiplications = 1'000'000}),
      5);
}

TEST(TilesTest, ImagesShareATaskUntilTheWeightsAreWorthLoading) {
  EXPECT_EQ(ImagesPerTask({.rows = 64, .positions = 16, .scratch_bytes = 1024}), 16);
  EXPECT_EQ(ImagesPerTask({.rows = 64, .positions = 4096, .scratch_bytes = 1024}), 1);
}

}  // namespace
}  // namespace tconv::server
