#include "server/layer/slabs.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "tests/support/shape_table.h"

namespace tconv::server {
namespace {

using ::tconv::testing::ParseShapeRow;
using ::tconv::testing::RandomShapeRow;
using ::tconv::testing::ReadShapeTable;

// The inputs (of the outermost axis) that reach an output of it, by tap.
std::vector<std::pair<int64_t, int64_t>> TapsOf(const AxisGeometry& axis, int64_t out) {
  std::vector<std::pair<int64_t, int64_t>> taps;
  for (int64_t in = 0; in < axis.in; ++in) {
    for (int64_t tap = 0; tap < axis.kernel; ++tap) {
      if (in * axis.stride + tap * axis.dilation - axis.crop_begin == out) {
        taps.emplace_back(in, tap);
      }
    }
  }
  return taps;
}

// Every output of the problem comes from one slab, in order, by the same taps of
// the same inputs; the inputs advance without gaps and are read to their end.
void ExpectToBeTheProblem(const DeconvProblem& problem, const Slabs& slabs) {
  int64_t image = 0;
  int64_t out_row = 0;
  int64_t in_row = 0;  // the first that no slab has read
  for (int64_t i = 0; i < slabs.size(); ++i) {
    const Slab slab = slabs[i];
    const AxisGeometry& axis = slab.problem.axes[0];
    ASSERT_EQ(slab.first_image, image);
    ASSERT_EQ(slab.first_out_row, out_row);
    ASSERT_GE(slab.first_in_row, 0);
    ASSERT_LE(slab.first_in_row, in_row);
    ASSERT_GE(axis.crop_begin, 0);
    ASSERT_GT(axis.in, 0);
    ASSERT_GE(slab.first_in_row + axis.in, in_row);
    for (int64_t row = 0; row < axis.out; ++row) {
      std::vector<std::pair<int64_t, int64_t>> taps = TapsOf(axis, row);
      for (auto& [in, tap] : taps) in += slab.first_in_row;
      ASSERT_EQ(taps, TapsOf(problem.axes[0], out_row + row));
    }
    in_row = slab.first_in_row + axis.in;
    out_row += axis.out;
    if (out_row < problem.axes[0].out) continue;
    ASSERT_EQ(out_row, problem.axes[0].out);
    ASSERT_EQ(in_row, problem.axes[0].in);
    image += slab.problem.batch;
    out_row = in_row = 0;
  }
  EXPECT_EQ(image, problem.batch);
}

void ExpectAllSlabsToBeTheProblem(const testing::ShapeRow& row) {
  SCOPED_TRACE(row.line);
  const DeconvProblem& problem = row.problem;
  ExpectToBeTheProblem(problem, Slabs(problem));
  for (int64_t images = 1; images <= problem.batch; ++images) {
    ExpectToBeTheProblem(problem, Slabs::OfImages(problem, images));
  }
  for (const int64_t rows : {1, 2, 3, 7}) {
    ExpectToBeTheProblem(problem, Slabs::OfRows(problem, rows));
  }
}

TEST(SlabsTest, AreTheProblemForAllShapesOfTheTable) {
  for (const auto& row : ReadShapeTable()) {
    if (row.problem.axes[0].in <= 200) ExpectAllSlabsToBeTheProblem(row);
  }
}

TEST(SlabsTest, AreTheProblemForRandomShapes) {
  std::mt19937 random(5);
  for (int i = 0; i < 500; ++i) {
    ExpectAllSlabsToBeTheProblem(RandomShapeRow([&](int64_t low, int64_t high) {
      return low + static_cast<int64_t>(random() % static_cast<uint64_t>(high - low + 1));
    }));
  }
}

TEST(SlabsTest, InsideOfAnImageAreEqualProblems) {
  const auto row = ParseShapeRow("x 2x50x9x3 f=4 k=5 s=2 same");
  const Slabs slabs = Slabs::OfRows(row.problem, 4);
  const int64_t of_image = slabs.size() / 2;
  for (int64_t i = 1; i + 1 < of_image; ++i) {
    EXPECT_EQ(slabs[i].problem, slabs[1].problem);
    EXPECT_EQ(slabs[of_image + i].problem, slabs[1].problem);
  }
}

TEST(SlabsTest, OfImagesLeaveTheRestToTheLast) {
  const auto row = ParseShapeRow("x 7x5x9x3 f=4 k=5");
  const Slabs slabs = Slabs::OfImages(row.problem, 3);
  ASSERT_EQ(slabs.size(), 3);
  EXPECT_EQ(slabs[2].problem.batch, 1);
  EXPECT_EQ(slabs[2].first_image, 6);
}

TEST(SlabsTest, OfNoImagesAreOne) {
  EXPECT_EQ(Slabs(ParseShapeRow("x 0x5x9x3 f=4 k=5").problem).size(), 1);
}

struct CutCase {
  const char* row;
  bool images;
  bool rows;
};

TEST(SlabsTest, CutNoAxisThatTheActivationRunsAlong) {
  constexpr CutCase kCases[] = {
      {"elementwise  2x5x9x3   f=4 k=3 act=relu", true, true},
      {"channels     2x5x9x3   f=4 k=3 act=softmax", true, true},
      {"width        2x5x9x3   f=4 k=3 act=softmax axis=2", true, true},
      {"height       2x5x9x3   f=4 k=3 act=softmax axis=1", true, false},
      {"batch        2x5x9x3   f=4 k=3 act=softmax axis=0", false, false},
      {"line         2x5x3     f=4 k=3 first act=softmax", true, false},
      {"planes       2x5x9x3   f=4 k=3 first act=softmax", true, true},
      {"first_height 2x5x9x3   f=4 k=3 first act=softmax axis=-2", true, false},
      {"glu          2x5x9x3   f=4 k=3 act=glu", true, true},
  };
  for (const CutCase& c : kCases) {
    const SlabCuts cuts = CutsOf(ParseShapeRow(c.row).problem);
    EXPECT_EQ(cuts.images, c.images) << c.row;
    EXPECT_EQ(cuts.rows, c.rows) << c.row;
  }
}

int64_t BytesOf(const DeconvProblem& problem) {
  return (problem.src_shape().num_elements() + problem.dst_shape().num_elements()) *
         static_cast<int64_t>(SizeOf(problem.dtype));
}

TEST(SlabsTest, OfAProblemAreAsLargeAsTheirSizeAllows) {
  const DeconvProblem problem = ParseShapeRow("x 4x64x8x4 f=4 k=3 s=2 same").problem;
  const int64_t image = BytesOf(Slabs::OfImages(problem, 1)[0].problem);
  EXPECT_EQ(SlabsOf(problem, 4 * image).size(), 1);
  EXPECT_EQ(SlabsOf(problem, 2 * image).size(), 2);
  EXPECT_EQ(SlabsOf(problem, 2 * image - 1).size(), 4);
  const Slabs thin = SlabsOf(problem, image / 4);
  EXPECT_GE(thin.size(), 16);
  EXPECT_LE(thin.size(), 20);
  EXPECT_LE(thin.LargestBytes(BytesOf), image / 4);
}

TEST(SlabsTest, OfAProblemAreNoThinnerThanIsWorthTheirHalo) {
  const DeconvProblem problem = ParseShapeRow("x 1x64x8x4 f=4 k=7 s=2").problem;
  EXPECT_EQ(SlabsOf(problem, 1)[1].problem.axes[0].in, 3 + 4 * 3);
}

TEST(SlabsTest, OfAProblemAreWholeAlongTheAxisOfTheActivation) {
  const DeconvProblem line = ParseShapeRow("x 3x50x4 f=4 k=3 first act=softmax").problem;
  EXPECT_EQ(SlabsOf(line, 1).size(), 3);
  const DeconvProblem batch = ParseShapeRow("x 3x50x4 f=4 k=3 act=softmax axis=0").problem;
  EXPECT_EQ(SlabsOf(batch, 1).size(), 1);
}

}  // namespace
}  // namespace tconv::server
