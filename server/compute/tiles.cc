#include "server/compute/tiles.h"

#include <algorithm>

namespace tconv::server {
namespace {

// Half of the smallest L2 cache in use; the other half is for the weights.
constexpr int64_t kScratchBytes = 512 << 10;
// From so many columns on a matrix product runs at its full speed.
constexpr int64_t kEnoughColumns = 256;
// About 0.1 ms: two orders of magnitude above the cost of starting a task.
constexpr int64_t kMultiplicationsPerTask = 8'000'000;

// The largest count <= `limit` whose tiles are about equal.
int64_t Balanced(int64_t rows, int64_t limit) { return CeilDiv(rows, CeilDiv(rows, limit)); }

int64_t RowsThatFit(const TileCost& cost) {
  return std::clamp<int64_t>(kScratchBytes / std::max<int64_t>(1, cost.scratch_bytes), 1,
                             cost.rows);
}

int64_t RowsForEnoughColumns(const TileCost& cost) {
  return CeilDiv(kEnoughColumns, std::max<int64_t>(1, cost.positions));
}

}  // namespace

int64_t RowsPerTile(const TileCost& cost) {
  const int64_t rows_for_a_task =
      CeilDiv(kMultiplicationsPerTask, std::max<int64_t>(1, cost.multiplications));
  const int64_t wanted = std::max(RowsForEnoughColumns(cost), rows_for_a_task);
  return Balanced(cost.rows, std::min(wanted, RowsThatFit(cost)));
}

int64_t ImagesPerTask(const TileCost& cost) {
  return Balanced(cost.rows, std::min(RowsForEnoughColumns(cost), RowsThatFit(cost)));
}

}  // namespace tconv::server
