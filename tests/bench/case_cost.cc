#include "tests/bench/case_cost.h"

#include <set>

#include "server/compute/phases.h"

namespace tconv::bench {

CaseCost CostOf(const server::DeconvProblem& problem) {
  const int64_t element_bytes = SizeOf(problem.dtype);
  double pairs = 1;
  int64_t taps = 1;
  for (const server::AxisGeometry& axis : problem.axes) {
    int64_t axis_pairs = 0;
    std::set<int64_t> axis_taps;
    for (int64_t out = 0; out < axis.out; ++out) {
      for (const server::Contribution& contribution : ContributionsOf(axis, out)) {
        ++axis_pairs;
        axis_taps.insert(contribution.tap);
      }
    }
    pairs *= static_cast<double>(axis_pairs);
    taps *= static_cast<int64_t>(axis_taps.size());
  }
  const int64_t channel_pairs = problem.in_channels * problem.out_channels;
  return {.operations = 2.0 * pairs * static_cast<double>(problem.batch * channel_pairs),
          .weights_bytes = taps * channel_pairs * element_bytes,
          .src_bytes = problem.src_shape().num_elements() * element_bytes,
          .dst_bytes = problem.dst_shape().num_elements() * element_bytes};
}

}  // namespace tconv::bench
