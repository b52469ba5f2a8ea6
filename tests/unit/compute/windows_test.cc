#include "server/compute/windows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "tests/support/shape_table.h"

namespace tconv::server {
namespace {

using ::tconv::testing::ParseShapeRow;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

DeconvProblem Problem(const char* line) { return ParseShapeRow(line).problem; }

// Rows of all windows, of outputs that hold 1, 2, 3, ...
std::vector<std::vector<float>> GatherAll(const DeconvProblem& problem, int64_t columns_per_chunk) {
  const Windows windows(problem, columns_per_chunk);
  std::vector<float> outputs(static_cast<size_t>(problem.linear_shape().num_elements()));
  std::iota(outputs.begin(), outputs.end(), 1.0f);
  std::vector<std::vector<float>> rows(static_cast<size_t>(windows.positions()));
  for (const WindowChunk& chunk : windows.chunks()) {
    std::vector<float> matrix(rows.size() * static_cast<size_t>(chunk.columns), -1.0f);
    // From the second position on, to begin within a line.
    windows.Gather(chunk, 0, 1, outputs.data(), matrix.data());
    windows.Gather(chunk, 1, windows.positions() - 1, outputs.data(),
                   matrix.data() + chunk.columns);
    for (size_t i = 0; i < rows.size(); ++i) {
      const auto begin = matrix.begin() + static_cast<std::ptrdiff_t>(i) * chunk.columns;
      rows[i].insert(rows[i].end(), begin, begin + chunk.columns);
    }
  }
  return rows;
}

TEST(WindowsTest, ARowHasTheOutputsThatAnInputReaches) {
  EXPECT_THAT(GatherAll(Problem("valid 1x3x1 f=1 k=3 s=2"), 100),
              ElementsAre(ElementsAre(1, 2, 3), ElementsAre(3, 4, 5), ElementsAre(5, 6, 7)));
}

TEST(WindowsTest, AnOutputHasAllItsChannels) {
  EXPECT_THAT(GatherAll(Problem("channels 1x2x1 f=2 k=2 s=2"), 100),
              ElementsAre(ElementsAre(1, 2, 3, 4), ElementsAre(5, 6, 7, 8)));
}

TEST(WindowsTest, OutputsBeyondTheImageAreZero) {
  EXPECT_THAT(GatherAll(Problem("same 1x3x1 f=1 k=3 same"), 100),
              ElementsAre(ElementsAre(0, 1, 2), ElementsAre(1, 2, 3), ElementsAre(2, 3, 0)));
}

TEST(WindowsTest, DilatedTapsReachApart) {
  EXPECT_THAT(GatherAll(Problem("dilated 1x2x1 f=1 k=2 d=3"), 100),
              ElementsAre(ElementsAre(1, 4), ElementsAre(2, 5)));
}

TEST(WindowsTest, ImagesFollowEachOther) {
  EXPECT_THAT(GatherAll(Problem("batch 2x2x1 f=1 k=1"), 100),
              ElementsAre(ElementsAre(1), ElementsAre(2), ElementsAre(3), ElementsAre(4)));
}

TEST(WindowsTest, ChunksChangeNothing) {
  const DeconvProblem problem = Problem("cube 2x3x4x5x1 f=3 k=3x2x4 s=2x1x3 same");
  const auto expected = GatherAll(problem, 1000);
  for (const int64_t columns : {1, 3, 7, 12, 30}) {
    EXPECT_EQ(GatherAll(problem, columns), expected) << columns;
  }
}

TEST(WindowsTest, ChunksAreRowsOfTheKernel) {
  const Windows windows(Problem("rows 1x4x4x1 f=2 k=3x2 s=3x2"), 8);
  ASSERT_THAT(windows.chunks(), SizeIs(2));
  EXPECT_EQ(windows.chunks()[0].first_kernel_row, 0);
  EXPECT_EQ(windows.chunks()[0].columns, 8);
  EXPECT_EQ(windows.chunks()[1].first_kernel_row, 8);
  EXPECT_EQ(windows.chunks()[1].columns, 4);
}

// A kernel of 4 x 4 around one pixel, of which 2 x 2 outputs are left.
TEST(WindowsTest, TapsThatReachNoOutputAreLeftOut) {
  const Windows windows(Problem("pixel 1x1x1x1 f=1 k=4 s=2 same"), 100);
  ASSERT_THAT(windows.chunks(), SizeIs(2));
  EXPECT_EQ(windows.chunks()[0].first_kernel_row, 5);
  EXPECT_EQ(windows.chunks()[0].columns, 2);
  EXPECT_EQ(windows.chunks()[1].first_kernel_row, 9);
}

TEST(WindowsTest, ThereAreNoneWhereNoTapReachesAnOutput) {
  const Windows windows(Problem("none 1x1x11x1 f=17 k=6x2 d=2x1 same"), 100);
  EXPECT_THAT(windows.chunks(), IsEmpty());
}

}  // namespace
}  // namespace tconv::server
