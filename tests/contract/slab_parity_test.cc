// A problem that is computed slab by slab gives the bits that it gives as a
// whole, with every strategy.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "server/compute/strategies.h"
#include "server/layer/slabs.h"
#include "tests/support/parity.h"
#include "tests/support/shape_table.h"

namespace tconv::server {
namespace {

using ::tconv::testing::CompileRow;
using ::tconv::testing::ExecutePlan;
using ::tconv::testing::RandomShapeRange;
using ::tconv::testing::RandomShapeRow;
using ::tconv::testing::ReadShapeTable;
using ::tconv::testing::ShapeRow;
using ::tconv::testing::SourceOf;

struct Rows {
  int64_t first;
  int64_t count;
};

// Calls copy(offset in the whole, offset in the part, bytes) for the stretches of
// some rows of some images.
template <typename Copy>
void ForEachStretch(const Shape& whole, const Shape& part, DataFormat format, int64_t first_image,
                    int64_t first_row, DType dtype, Copy copy) {
  const bool is_last = format == DataFormat::kChannelsLast;
  const int64_t planes = is_last ? 1 : whole[1];
  const int axis = is_last ? 1 : 2;
  int64_t row_bytes = static_cast<int64_t>(SizeOf(dtype));
  for (int i = axis + 1; i < whole.rank(); ++i) row_bytes *= whole[i];
  for (int64_t plane = 0; plane < part[0] * planes; ++plane) {
    const int64_t whole_plane = first_image * planes + plane;
    copy((whole_plane * whole[axis] + first_row) * row_bytes, plane * part[axis] * row_bytes,
         part[axis] * row_bytes);
  }
}

class SlabParityBench {
 public:
  const std::vector<std::unique_ptr<const Strategy>>& strategies() const { return strategies_; }

  // What comes of the row slab by slab.
  Tensor ExecuteSlabs(const Strategy& strategy, const ShapeRow& row, const Slabs& slabs,
                      const Tensor& src) const {
    Tensor dst = Tensor::Allocate(row.problem.dtype, row.problem.dst_shape()).value();
    for (int64_t i = 0; i < slabs.size(); ++i) {
      const Slab slab = slabs[i];
      ShapeRow part = row;
      part.problem = slab.problem;
      Tensor part_src = Tensor::Allocate(src.dtype(), slab.problem.src_shape()).value();
      ForEachStretch(src.shape(), part_src.shape(), row.problem.data_format, slab.first_image,
                     slab.first_in_row, src.dtype(), [&](int64_t from, int64_t to, int64_t bytes) {
                       std::memcpy(part_src.mutable_view().data + to, src.view().data + from,
                                   static_cast<size_t>(bytes));
                     });
      EXPECT_TRUE(strategy.Supports(slab.problem).ok()) << strategy.Supports(slab.problem);
      const Tensor part_dst = ExecutePlan(*CompileRow(strategy, part), slab.problem, part_src);
      ForEachStretch(dst.shape(), part_dst.shape(), row.problem.data_format, slab.first_image,
                     slab.first_out_row, dst.dtype(), [&](int64_t to, int64_t from, int64_t bytes) {
                       std::memcpy(dst.mutable_view().data + to, part_dst.view().data + from,
                                   static_cast<size_t>(bytes));
                     });
    }
    return dst;
  }

 private:
  std::unique_ptr<WorkerPool> pool_ = WorkerPool::Make(2).value();
  std::vector<std::unique_ptr<const Strategy>> strategies_ = MakeStrategies(*pool_).value();
};

bool HaveEqualBits(const Tensor& a, const Tensor& b) {
  return a.size_bytes() == b.size_bytes() &&
         std::memcmp(a.view().data, b.view().data, static_cast<size_t>(a.size_bytes())) == 0;
}

void ExpectEqualBits(const SlabParityBench& bench, const ShapeRow& row) {
  const SlabCuts cuts = CutsOf(row.problem);
  const Tensor src = SourceOf(row);
  for (const auto& strategy : bench.strategies()) {
    if (!strategy->Supports(row.problem).ok()) continue;
    if (row.is_bench && strategy->name() == "reference") continue;
    const Tensor whole = ExecutePlan(*CompileRow(*strategy, row), row.problem, src);
    const auto expect = [&](const Slabs& slabs, const char* what, int64_t count) {
      const Tensor streamed = bench.ExecuteSlabs(*strategy, row, slabs, src);
      EXPECT_TRUE(HaveEqualBits(streamed, whole))
          << strategy->name() << " " << what << " " << count << ": " << row.line;
    };
    if (cuts.images && row.problem.batch > 1) expect(Slabs::OfImages(row.problem, 1), "images", 1);
    for (const int64_t rows : {1, 2, 3, 5, 16}) {
      if (!cuts.rows || rows >= row.problem.axes[0].in) break;
      expect(Slabs::OfRows(row.problem, rows), "rows", rows);
    }
  }
}

class SlabParityTest : public ::testing::TestWithParam<ShapeRow> {
 protected:
  SlabParityBench bench_;
};

INSTANTIATE_TEST_SUITE_P(Shapes, SlabParityTest, ::testing::ValuesIn(ReadShapeTable()),
                         [](const auto& row) { return row.param.name; });

TEST_P(SlabParityTest, GivesTheBitsOfTheWhole) { ExpectEqualBits(bench_, GetParam()); }

TEST(SlabParityRandomTest, GivesTheBitsOfTheWholeOnRandomProblems) {
  const SlabParityBench bench;
  std::mt19937 random(33);
  for (int i = 0; i < 200; ++i) {
    const auto pick = [&](int64_t low, int64_t high) {
      return low + static_cast<int64_t>(random() % static_cast<uint64_t>(high - low + 1));
    };
    const ShapeRow row = RandomShapeRow(pick);
    if (row.problem.dst_shape().num_elements() > 0) ExpectEqualBits(bench, row);
  }
}

}  // namespace
}  // namespace tconv::server
