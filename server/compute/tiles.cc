#include "server/compute/tiles.h"

#include <algorithm>

namespace tconv::server {
namespace {

// Half of the smallest L2 cache in use; the other half is for the weights.
constexpr int64_t kScratchBytes = 512 << 10;
// From so many columns on a matrix product runs at its full speed.
constexpr int64_t kEnoughColumns = 256;
// Weights of one set of filters.
constexpr int64_t kWeightsBytes = 1 << 20;
// Filters are kept together in blocks that fill the registers of a kernel.
constexpr int64_t kFilterBlock = 64;

// What one thread of a current processor does in a nanosecond.
constexpr double kMultiplicationsPerNanosecond = 40;
constexpr double kConversionsPerNanosecond = 4;

std::chrono::nanoseconds AtRate(double operations, double operations_per_nanosecond) {
  constexpr double kLongest = 1e18;
  return std::chrono::nanoseconds(
      static_cast<int64_t>(std::min(operations / operations_per_nanosecond, kLongest)));
}

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

int64_t FiltersPerSet(const DeconvProblem& problem, int64_t weight_bytes_per_filter) {
  if (!problem.activation.is_elementwise()) return problem.out_channels;
  const int64_t fit = kWeightsBytes / weight_bytes_per_filter / kFilterBlock * kFilterBlock;
  return std::max(fit, kFilterBlock);
}

int64_t RowsPerTile(const TileCost& cost) {
  const int64_t rows_for_a_task =
      CeilDiv(kMultiplicationsPerTask, std::max<int64_t>(1, cost.multiplications));
  const int64_t wanted = std::max(RowsForEnoughColumns(cost), rows_for_a_task);
  return Balanced(cost.rows, std::min(wanted, RowsThatFit(cost)));
}

int64_t ImagesPerTask(const TileCost& cost) {
  return Balanced(cost.rows, std::min(RowsForEnoughColumns(cost), RowsThatFit(cost)));
}

std::chrono::nanoseconds ExpectedTime(const DeconvProblem& problem) {
  double multiplications = static_cast<double>(problem.src_shape().num_elements()) *
                           static_cast<double>(problem.out_channels);
  for (const AxisGeometry& axis : problem.axes) multiplications *= static_cast<double>(axis.kernel);
  return AtRate(multiplications, kMultiplicationsPerNanosecond);
}

std::chrono::nanoseconds ConversionTime(int64_t elements) {
  return AtRate(static_cast<double>(elements), kConversionsPerNanosecond);
}

}  // namespace tconv::server
