// Every strategy computes what the reference computes, on every problem of
// tests/data/shapes.txt that it takes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <thread>

#include "server/compute/planner.h"
#include "server/compute/strategies.h"
#include "tests/support/parity.h"
#include "tests/support/shape_table.h"
#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::tconv::testing::CompileRow;
using ::tconv::testing::DifferenceOf;
using ::tconv::testing::ExecutePlan;
using ::tconv::testing::IsOk;
using ::tconv::testing::ParseShapeRow;
using ::tconv::testing::RandomShapeRange;
using ::tconv::testing::RandomShapeRow;
using ::tconv::testing::ReadShapeTable;
using ::tconv::testing::ShapeRow;
using ::tconv::testing::SourceOf;

// Strategies on a pool of their own.
class Bench {
 public:
  explicit Bench(int threads)
      : pool_(WorkerPool::Make(threads).value()), strategies_(MakeStrategies(*pool_).value()) {}

  const std::vector<std::unique_ptr<const Strategy>>& strategies() const { return strategies_; }

  const Strategy& strategy(std::string_view name) const {
    return **std::find_if(strategies_.begin(), strategies_.end(),
                          [&](const auto& strategy) { return strategy->name() == name; });
  }

 private:
  std::unique_ptr<WorkerPool> pool_;
  std::vector<std::unique_ptr<const Strategy>> strategies_;
};

// The strategies that take the row.
std::vector<const Strategy*> TakersOf(const Bench& bench, const ShapeRow& row) {
  std::vector<const Strategy*> takers;
  for (const auto& strategy : bench.strategies()) {
    if (strategy->Supports(row.problem).ok()) takers.push_back(strategy.get());
  }
  return takers;
}

bool HaveEqualBits(const Tensor& a, const Tensor& b) {
  return a.size_bytes() == b.size_bytes() &&
         std::memcmp(a.view().data, b.view().data, static_cast<size_t>(a.size_bytes())) == 0;
}

class StrategyParityTest : public ::testing::TestWithParam<ShapeRow> {
 protected:
  // The reference would take minutes on the sizes for measuring. There
  // oneDNN's deconvolution is the judge, which is judged on the small ones.
  const Strategy& Oracle() const {
    return bench_.strategy(GetParam().is_bench ? "deconvolution" : "reference");
  }

  Bench bench_{2};
};

std::string RowName(const ::testing::TestParamInfo<ShapeRow>& row) { return row.param.name; }

INSTANTIATE_TEST_SUITE_P(Shapes, StrategyParityTest, ::testing::ValuesIn(ReadShapeTable()),
                         RowName);

TEST_P(StrategyParityTest, AgreesWithTheOracle) {
  const ShapeRow& row = GetParam();
  const Tensor src = SourceOf(row);
  const Tensor expected = ExecutePlan(*CompileRow(Oracle(), row), row.problem, src);
  for (const Strategy* strategy : TakersOf(bench_, row)) {
    if (strategy == &Oracle()) continue;
    if (row.is_bench && strategy->name() == "reference") continue;
    SCOPED_TRACE(strategy->name());
    const Tensor actual = ExecutePlan(*CompileRow(*strategy, row), row.problem, src);
    EXPECT_EQ(DifferenceOf(actual, expected), "");
  }
}

TEST_P(StrategyParityTest, IsTakenByTheStrategiesThatMustTakeIt) {
  for (const std::string& name : GetParam().accepted_by) {
    EXPECT_THAT(bench_.strategy(name).Supports(GetParam().problem), IsOk()) << name;
  }
}

void ExpectAgreementOnRandomProblems(int problems, const RandomShapeRange& range) {
  const Bench bench(2);
  std::mt19937 random(20);
  for (int i = 0; i < problems; ++i) {
    const auto pick = [&](int64_t low, int64_t high) {
      return low + static_cast<int64_t>(random() % static_cast<uint64_t>(high - low + 1));
    };
    const ShapeRow row = RandomShapeRow(pick, range);
    if (row.problem.dst_shape().num_elements() == 0) continue;
    const Tensor src = SourceOf(row);
    const Tensor expected =
        ExecutePlan(*CompileRow(bench.strategy("reference"), row), row.problem, src);
    for (const Strategy* strategy : TakersOf(bench, row)) {
      const Tensor actual = ExecutePlan(*CompileRow(*strategy, row), row.problem, src);
      EXPECT_EQ(DifferenceOf(actual, expected), "") << strategy->name() << ": " << row.line;
    }
  }
}

TEST(StrategyParityRandomTest, AgreesWithTheReferenceOnRandomProblems) {
  ExpectAgreementOnRandomProblems(300, {});
}

// Where strategies cut the filters and the channels.
TEST(StrategyParityRandomTest, AgreesWithTheReferenceOnManyChannels) {
  ExpectAgreementOnRandomProblems(60, {.largest_extent = {9, 4, 2},
                                       .largest_kernel = {6, 4, 3},
                                       .largest_stride = 3,
                                       .largest_batch = 2,
                                       .largest_channels = 500});
}

constexpr const char* kConcurrencyRows[] = {
    "several_images  5x9x17x40     f=24 k=4 s=2 same act=tanh",
    "one_filter      3x9x33x16     f=1 k=5 s=2 same",
    "channels_first  3x9x33x16     f=20 k=3 s=2 same first",
    "narrow          3x9x17x16     f=20 k=3 s=2 same dtype=mixed_bfloat16",
    "volume          2x5x6x7x16    f=8 k=2 s=2",
    "softmax         3x9x17x16     f=21 k=2 s=2 act=softmax",
};

class StrategyConcurrencyTest : public ::testing::TestWithParam<const char*> {
 protected:
  const ShapeRow row_ = ParseShapeRow(GetParam());
};

INSTANTIATE_TEST_SUITE_P(Shapes, StrategyConcurrencyTest, ::testing::ValuesIn(kConcurrencyRows));

TEST_P(StrategyConcurrencyTest, OnePlanGivesTheSameBitsToManyCallers) {
  const Bench bench(3);
  const Tensor src = SourceOf(row_);
  for (const Strategy* strategy : TakersOf(bench, row_)) {
    SCOPED_TRACE(strategy->name());
    const auto plan = CompileRow(*strategy, row_);
    const Tensor alone = ExecutePlan(*plan, row_.problem, src);
    std::vector<std::thread> callers;
    for (int caller = 0; caller < 4; ++caller) {
      callers.emplace_back([&] {
        for (int round = 0; round < 20; ++round) {
          EXPECT_TRUE(HaveEqualBits(ExecutePlan(*plan, row_.problem, src), alone));
        }
      });
    }
    for (std::thread& caller : callers) caller.join();
  }
}

TEST_P(StrategyConcurrencyTest, BitsDoNotDependOnTheNumberOfThreads) {
  const Bench one(1);
  const Bench three(3);
  const Tensor src = SourceOf(row_);
  for (const Strategy* strategy : TakersOf(one, row_)) {
    const Strategy& threaded = three.strategy(strategy->name());
    EXPECT_TRUE(HaveEqualBits(ExecutePlan(*CompileRow(*strategy, row_), row_.problem, src),
                              ExecutePlan(*CompileRow(threaded, row_), row_.problem, src)))
        << strategy->name();
  }
}

TEST_P(StrategyConcurrencyTest, AnImageGivesTheSameBitsAloneAsInABatch) {
  const Bench bench(2);
  const Tensor batch_src = SourceOf(row_);
  ShapeRow single = row_;
  single.problem.batch = 1;
  Tensor src = Tensor::Allocate(row_.problem.dtype, single.problem.src_shape()).value();
  const int64_t last = row_.problem.batch - 1;
  std::memcpy(src.mutable_view().data, batch_src.view().data + last * src.size_bytes(),
              static_cast<size_t>(src.size_bytes()));
  for (const Strategy* strategy : TakersOf(bench, row_)) {
    const Tensor batch_dst = ExecutePlan(*CompileRow(*strategy, row_), row_.problem, batch_src);
    const Tensor dst = ExecutePlan(*CompileRow(*strategy, single), single.problem, src);
    EXPECT_EQ(std::memcmp(dst.view().data, batch_dst.view().data + last * dst.size_bytes(),
                          static_cast<size_t>(dst.size_bytes())),
              0)
        << strategy->name();
  }
}

}  // namespace
}  // namespace tconv::server
