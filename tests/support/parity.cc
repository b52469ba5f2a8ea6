#include "tests/support/parity.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "server/compute/compile_plan.h"

namespace tconv::testing {
namespace {

using server::DType;
using server::Tensor;

// Relative to the largest result, or to the sums of random terms where an
// activation leaves less of them. A 16-bit result is within two units of its
// last place, for values close to a rounding boundary may fall on either side
// at every step.
double RelativeBound(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return 4e-6;
    case DType::kFloat64:
      return 1e-14;
    case DType::kFloat16:
      return 0x1p-9;
    case DType::kBFloat16:
      return 0x1p-6;
  }
  return 0;
}

}  // namespace

std::unique_ptr<const server::ForwardPlan> CompileRow(const server::Strategy& strategy,
                                                      const ShapeRow& row) {
  return server::CompilePlan(strategy, row.problem,
                             RandomWeights(row.problem, row.config.dtype.variable, 7))
      .value();
}

Tensor SourceOf(const ShapeRow& row) {
  return RandomTensor(row.problem.src_shape(), row.problem.dtype, 11);
}

Tensor ExecutePlan(const server::ForwardPlan& plan, const server::DeconvProblem& problem,
                   const Tensor& src) {
  Tensor dst = Tensor::Allocate(problem.dtype, problem.dst_shape()).value();
  std::memset(dst.mutable_view().data, 0xff, static_cast<size_t>(dst.size_bytes()));
  const server::Status status = plan.Execute(src.view(), dst.mutable_view());
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
    std::abort();
  }
  return dst;
}

std::string DifferenceOf(const Tensor& actual, const Tensor& expected) {
  const Tensor a = Tensor::Converted(actual.view(), DType::kFloat64).value();
  const Tensor b = Tensor::Converted(expected.view(), DType::kFloat64).value();
  const auto a_values = a.view().values<double>();
  const auto b_values = b.view().values<double>();
  double largest = 0.5;
  for (const double value : b_values) largest = std::max(largest, std::fabs(value));
  const double bound = RelativeBound(actual.dtype()) * largest;
  double worst = bound;
  std::string difference;
  for (size_t i = 0; i < a_values.size(); ++i) {
    const double error = std::fabs(a_values[i] - b_values[i]);
    if (error <= worst) continue;  // not so for NaN
    worst = error;
    difference =
        fmt::format("element {} is {}, expected {}, bound {}", i, a_values[i], b_values[i], bound);
    if (std::isnan(error)) break;
  }
  return difference;
}

}  // namespace tconv::testing
