// How the work of a plan is cut into tasks, so that what a task computes stays
// in the L2 cache until it is woven into the output. The cuts depend on the
// problem alone, never on the number of threads: so neither do the results.
#pragma once

#include <chrono>
#include <cstdint>

#include "server/layer/geometry.h"

namespace tconv::server {

// Rows (or images) of equal cost.
struct TileCost {
  int64_t rows = 0;             // in all; > 0
  int64_t positions = 0;        // of one row, each a column of a matrix product
  int64_t scratch_bytes = 0;    // of one row
  int64_t multiplications = 0;  // of one row
};

// About 0.1 ms: two orders of magnitude above the cost of starting a task.
inline constexpr int64_t kMultiplicationsPerTask = 8'000'000;

// Filters of one set, which may be more than the problem has: their weights stay
// in the L2 cache while images or tiles pass by. All, when the activation needs
// them together.
int64_t FiltersPerSet(const DeconvProblem& problem, int64_t weight_bytes_per_filter);

// Rows for one tile, at least 1: enough columns for an efficient product, few
// enough for the cache, and tasks for many threads when there is work for them.
// All tiles but the last have this many.
int64_t RowsPerTile(const TileCost& cost);

// Images for one task when each is a single tile: as many as it takes to make
// the weights worth loading.
int64_t ImagesPerTask(const TileCost& cost);

// How long one thread takes, roughly: for the pool, which leaves short work to
// the caller alone.
std::chrono::nanoseconds ExpectedTime(const DeconvProblem& problem);
std::chrono::nanoseconds ConversionTime(int64_t elements);

}  // namespace tconv::server
