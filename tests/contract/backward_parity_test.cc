// Every way to compute gradients agrees with the reference, on every problem of
// tests/data/shapes.txt and on random ones; and gradients are the adjoint of the forward
// plans.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <thread>

#include "server/compute/backward_strategies.h"
#include "server/compute/compile_plan.h"
#include "server/compute/planner.h"
#include "server/compute/strategies.h"
#include "tests/support/parity.h"
#include "tests/support/shape_table.h"
#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::tconv::testing::DifferenceOf;
using ::tconv::testing::IsOk;
using ::tconv::testing::ParseShapeRow;
using ::tconv::testing::RandomShapeRange;
using ::tconv::testing::RandomShapeRow;
using ::tconv::testing::RandomTensor;
using ::tconv::testing::RandomWeights;
using ::tconv::testing::ReadShapeTable;
using ::tconv::testing::ShapeRow;

DType WideTypeOf(const DeconvProblem& problem) {
  return problem.dtype == DType::kFloat64 ? DType::kFloat64 : DType::kFloat32;
}

// What a problem is differentiated with, the same each time.
struct Operands {
  explicit Operands(const DeconvProblem& problem)
      : weights(RandomWeights(problem, WideTypeOf(problem), 7)),
        kernel(weights->kernel),
        src(RandomTensor(problem.src_shape(), WideTypeOf(problem), 11)),
        diff_dst(RandomTensor(problem.linear_shape(), WideTypeOf(problem), 13)) {}

  std::shared_ptr<const Weights> weights;
  const Tensor& kernel;
  Tensor src;
  Tensor diff_dst;
};

std::shared_ptr<BlockPool> Memory() { return BlockPool::Make(int64_t{1} << 20); }

struct Results {
  Tensor diff_src;
  Tensor diff_kernel;
};

// Memory full of NaNs, so that no element can be left out.
Tensor NotANumber(const Tensor& like) {
  Tensor tensor = Tensor::Allocate(like.dtype(), like.shape()).value();
  std::memset(tensor.mutable_view().data, 0xff, static_cast<size_t>(tensor.size_bytes()));
  return tensor;
}

Results Execute(const BackwardPlan& plan, const Operands& operands) {
  Results results = {NotANumber(operands.src), NotANumber(operands.kernel)};
  EXPECT_THAT(plan.Execute({.kernel = operands.kernel.view(),
                            .src = operands.src.view(),
                            .diff_dst = operands.diff_dst.view(),
                            .diff_src = results.diff_src.mutable_view(),
                            .diff_kernel = results.diff_kernel.mutable_view()},
                           *Memory()),
              IsOk());
  return results;
}

Results Differentiate(const BackwardStrategy& strategy, const DeconvProblem& problem) {
  return Execute(*strategy.Compile(problem).value(), Operands(problem));
}

// Strategies on a pool of their own.
class Bench {
 public:
  explicit Bench(int threads)
      : pool_(WorkerPool::Make(threads).value()),
        strategies_(MakeBackwardStrategies(*pool_).value()) {}

  const BackwardStrategy& reference() const { return *strategies_.back(); }

  // Those that take the problem, without the reference.
  std::vector<const BackwardStrategy*> TakersOf(const DeconvProblem& problem) const {
    std::vector<const BackwardStrategy*> takers;
    for (const auto& strategy : strategies_) {
      if (strategy.get() == &reference() || !strategy->Supports(problem).ok()) continue;
      takers.push_back(strategy.get());
    }
    return takers;
  }

  WorkerPool& pool() const { return *pool_; }

 private:
  const std::unique_ptr<WorkerPool> pool_;
  const std::vector<std::unique_ptr<const BackwardStrategy>> strategies_;
};

void ExpectAgreement(const Bench& bench, const ShapeRow& row) {
  SCOPED_TRACE(row.line);
  const Results expected = Differentiate(bench.reference(), row.problem);
  for (const BackwardStrategy* strategy : bench.TakersOf(row.problem)) {
    SCOPED_TRACE(strategy->name());
    const Results actual = Differentiate(*strategy, row.problem);
    EXPECT_EQ(DifferenceOf(actual.diff_src, expected.diff_src), "") << "by the input";
    EXPECT_EQ(DifferenceOf(actual.diff_kernel, expected.diff_kernel), "") << "by the kernel";
  }
}

double DotProduct(const Tensor& a, const Tensor& b) {
  const Tensor wide_a = Tensor::Converted(a.view(), DType::kFloat64).value();
  const Tensor wide_b = Tensor::Converted(b.view(), DType::kFloat64).value();
  const auto a_values = wide_a.view().values<double>();
  const auto b_values = wide_b.view().values<double>();
  double sum = 0;
  for (size_t i = 0; i < a_values.size(); ++i) sum += a_values[i] * b_values[i];
  return sum;
}

class BackwardParityTest : public ::testing::TestWithParam<ShapeRow> {
 protected:
  const Bench bench_{2};
};

std::string RowName(const ::testing::TestParamInfo<ShapeRow>& row) { return row.param.name; }

INSTANTIATE_TEST_SUITE_P(Shapes, BackwardParityTest, ::testing::ValuesIn(ReadShapeTable()),
                         RowName);

TEST_P(BackwardParityTest, AgreesWithTheReference) {
  if (GetParam().is_bench) return;  // would take the reference minutes; see the adjoint
  ExpectAgreement(bench_, GetParam());
}

// <diff_dst, transposed_convolution(src, kernel)> is a number that all four tensors
// give: linear in each of them.
TEST_P(BackwardParityTest, IsTheAdjointOfTheWayForward) {
  ShapeRow row = GetParam();
  row.problem.use_bias = false;
  row.problem.activation = Activation();
  row.problem.dtype = WideTypeOf(row.problem);
  if (row.problem.linear_shape().num_elements() == 0) return;
  const Operands operands(row.problem);
  const auto planner = Planner::Make(MakeStrategies(bench_.pool()).value(), "").value();
  const auto plan = CompilePlan(*planner->Choose(row.problem)->strategy, row.problem,
                                RandomWeights(row.problem, row.problem.dtype, 7));
  Tensor dst = NotANumber(operands.diff_dst);
  ASSERT_THAT((*plan)->Execute(operands.src.view(), dst.mutable_view()), IsOk());
  const double expected = DotProduct(operands.diff_dst, dst);
  // Of sums of random terms.
  const double scale =
      std::sqrt(DotProduct(dst, dst) * DotProduct(operands.diff_dst, operands.diff_dst));
  const double bound = (row.problem.dtype == DType::kFloat64 ? 1e-13 : 2e-6) * std::max(1.0, scale);
  for (const BackwardStrategy* strategy : bench_.TakersOf(row.problem)) {
    SCOPED_TRACE(strategy->name());
    const Results results = Differentiate(*strategy, row.problem);
    EXPECT_NEAR(DotProduct(results.diff_src, operands.src), expected, bound);
    EXPECT_NEAR(DotProduct(results.diff_kernel, operands.kernel), expected, bound);
  }
}

void ExpectAgreementOnRandomProblems(int problems, const RandomShapeRange& range) {
  const Bench bench(2);
  std::mt19937 random(21);
  const auto pick = [&](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random() % static_cast<uint64_t>(high - low + 1));
  };
  for (int i = 0; i < problems; ++i) ExpectAgreement(bench, RandomShapeRow(pick, range));
}

TEST(BackwardParityRandomTest, AgreesWithTheReferenceOnRandomProblems) {
  ExpectAgreementOnRandomProblems(300, {});
}

// Where kernels and positions are cut.
TEST(BackwardParityRandomTest, AgreesWithTheReferenceOnManyChannels) {
  ExpectAgreementOnRandomProblems(60, {.largest_extent = {9, 4, 2},
                                       .largest_kernel = {6, 4, 3},
                                       .largest_stride = 3,
                                       .largest_batch = 2,
                                       .largest_channels = 500});
}

bool HaveEqualBits(const Tensor& a, const Tensor& b) {
  return a.size_bytes() == b.size_bytes() &&
         std::memcmp(a.view().data, b.view().data, static_cast<size_t>(a.size_bytes())) == 0;
}

void ExpectEqualBits(const Results& a, const Results& b) {
  EXPECT_TRUE(HaveEqualBits(a.diff_src, b.diff_src));
  EXPECT_TRUE(HaveEqualBits(a.diff_kernel, b.diff_kernel));
}

constexpr const char* kRows[] = {
    "several_images 5x9x17x40  f=24 k=4 s=2 same",
    "one_filter     3x19x33x16 f=1 k=5 s=2 same",
    "channels_first 3x19x33x16 f=20 k=3 s=2 same first",
    "large_kernel   2x9x9x300  f=150 k=4 s=2 same",
    "volume         2x5x6x7x16 f=8 k=2 s=2",
    "dilated        1x19x33x16 f=20 k=3 d=2 same",
};

class BackwardConcurrencyTest : public ::testing::TestWithParam<const char*> {
 protected:
  const ShapeRow row_ = ParseShapeRow(GetParam());
};

INSTANTIATE_TEST_SUITE_P(Shapes, BackwardConcurrencyTest, ::testing::ValuesIn(kRows));

TEST_P(BackwardConcurrencyTest, OnePlanGivesTheSameBitsToManyCallers) {
  const Bench bench(3);
  const Operands operands(row_.problem);
  for (const BackwardStrategy* strategy : bench.TakersOf(row_.problem)) {
    SCOPED_TRACE(strategy->name());
    const auto plan = strategy->Compile(row_.problem).value();
    const Results alone = Execute(*plan, operands);
    std::vector<std::thread> callers;
    for (int caller = 0; caller < 4; ++caller) {
      callers.emplace_back([&] {
        for (int round = 0; round < 10; ++round) ExpectEqualBits(Execute(*plan, operands), alone);
      });
    }
    for (std::thread& caller : callers) caller.join();
  }
}

TEST_P(BackwardConcurrencyTest, BitsDoNotDependOnTheNumberOfThreads) {
  const Bench one(1);
  const Bench three(3);
  const auto threaded = three.TakersOf(row_.problem);
  const auto single = one.TakersOf(row_.problem);
  ASSERT_EQ(single.size(), threaded.size());
  for (size_t i = 0; i < single.size(); ++i) {
    SCOPED_TRACE(single[i]->name());
    ExpectEqualBits(Differentiate(*single[i], row_.problem),
                    Differentiate(*threaded[i], row_.problem));
  }
}

TEST_P(BackwardConcurrencyTest, OneGradientAloneIsTheSame) {
  const Bench bench(2);
  const Operands operands(row_.problem);
  for (const BackwardStrategy* strategy : bench.TakersOf(row_.problem)) {
    SCOPED_TRACE(strategy->name());
    const auto plan = strategy->Compile(row_.problem).value();
    const Results both = Execute(*plan, operands);
    Tensor diff_src = NotANumber(operands.src);
    EXPECT_THAT(plan->Execute({.kernel = operands.kernel.view(),
                               .src = operands.src.view(),
                               .diff_dst = operands.diff_dst.view(),
                               .diff_src = diff_src.mutable_view(),
                               .diff_kernel = {}},
                              *Memory()),
                IsOk());
    EXPECT_TRUE(HaveEqualBits(diff_src, both.diff_src));
    Tensor diff_kernel = NotANumber(operands.kernel);
    EXPECT_THAT(plan->Execute({.kernel = operands.kernel.view(),
                               .src = operands.src.view(),
                               .diff_dst = operands.diff_dst.view(),
                               .diff_src = {},
                               .diff_kernel = diff_kernel.mutable_view()},
                              *Memory()),
                IsOk());
    EXPECT_TRUE(HaveEqualBits(diff_kernel, both.diff_kernel));
  }
}

}  // namespace
}  // namespace tconv::server
