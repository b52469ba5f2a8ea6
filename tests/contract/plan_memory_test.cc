// What compiled plans leave in memory, as the system sees it: the plan cache
// keeps its bound however many shapes come, and plans are not larger than they
// say.
#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>

#include "server/compute/plan_cache.h"
#include "server/compute/strategies.h"
#include "tests/support/shape_table.h"
#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::tconv::testing::IsOk;
using ::tconv::testing::ParseShapeRow;
using ::tconv::testing::RandomTensor;
using ::tconv::testing::RandomWeights;
using ::tconv::testing::ShapeRow;

constexpr int64_t kMiB = 1 << 20;

// Without the memory that was freed.
int64_t ResidentBytes() {
  malloc_trim(0);
  int64_t pages = 0;
  int64_t resident_pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident_pages;
  return resident_pages * sysconf(_SC_PAGESIZE);
}

struct Layer {
  const char* strategy;
  const char* input_channels;
  const char* arguments;

  friend void PrintTo(const Layer& layer, std::ostream* os) {
    *os << layer.strategy << " on " << layer.input_channels << " channels, " << layer.arguments;
  }
};

// A layer that computes one shape after the other.
class PlanMemoryTest : public ::testing::TestWithParam<Layer> {
 protected:
  void SetUp() override {
#ifdef TCONV_SANITIZED
    GTEST_SKIP() << "sanitizers keep freed memory";
#endif
  }

  // The row for input [1, height, width, channels].
  static ShapeRow Row(int height, int width) {
    return ParseShapeRow(fmt::format("p 1x{}x{}x{} {}", height, width, GetParam().input_channels,
                                     GetParam().arguments));
  }

  // Compiles and runs the plans of rows [first, last) of a table of shapes, no
  // two of them alike.
  void Compute(PlanCache& cache, int first, int last) {
    for (int i = first; i < last; ++i) {
      const DeconvProblem problem = Row(4 + i % kSides, 4 + i / kSides).problem;
      const auto cached = cache.GetOrCompile(problem, weights_);
      ASSERT_THAT(cached, IsOk());
      const ConstTensorView src = {problem.dtype, problem.src_shape(), src_.view().data};
      const TensorView dst = {problem.dtype, problem.dst_shape(), dst_.mutable_view().data};
      ASSERT_THAT((*cached)->plan->Execute(src, dst), IsOk());
    }
  }

  static constexpr int kSides = 60;
  const ShapeRow largest_ = Row(4 + kSides, 4 + kSides);
  const std::unique_ptr<WorkerPool> pool_ = WorkerPool::Make(1).value();
  const std::unique_ptr<const Planner> planner_ =
      Planner::Make(MakeStrategies(*pool_).value(), GetParam().strategy).value();
  const std::shared_ptr<const Weights> weights_ =
      RandomWeights(largest_.problem, largest_.config.dtype.variable, 1);
  const Tensor src_ = RandomTensor(largest_.problem.src_shape(), largest_.problem.dtype, 2);
  Tensor dst_ = RandomTensor(largest_.problem.dst_shape(), largest_.problem.dtype, 3);
};

using PlanCacheMemoryTest = PlanMemoryTest;

INSTANTIATE_TEST_SUITE_P(Layers, PlanCacheMemoryTest,
                         ::testing::Values(Layer{"phase_conv", "8", "f=4 k=2 s=2"},
                                           Layer{"overlap_add", "8", "f=3 k=3 s=2 same"},
                                           Layer{"deconvolution", "8", "f=4 k=2 s=2"}));

TEST_P(PlanCacheMemoryTest, ThousandsOfShapesStayWithinTheBoundOfTheCache) {
  constexpr int64_t kCapacity = 4 * kMiB;
  // The library's own cache of primitives, which no flag bounds.
  constexpr int64_t kLibraryCache = 16 * kMiB;
  PlanCache cache(*planner_, kCapacity);
  Compute(cache, 0, 1);
  const int64_t at_start = ResidentBytes();
  Compute(cache, 1, 600);
  const int64_t warm = ResidentBytes();
  Compute(cache, 600, 3000);
  EXPECT_LE(cache.bytes_held(), kCapacity);
  EXPECT_LE(ResidentBytes() - at_start, kCapacity + kLibraryCache);
  // Holes in the heap; a plan that stays costs some ten kilobytes.
  EXPECT_LE(ResidentBytes() - warm, 4 * kMiB);
}

using PlanSizeTest = PlanMemoryTest;

INSTANTIATE_TEST_SUITE_P(Layers, PlanSizeTest,
                         ::testing::Values(Layer{"phase_conv", "128", "f=64 k=4 s=2 same"},
                                           Layer{"phase_conv", "64", "f=64 k=3 same"},
                                           Layer{"phase_conv", "8", "f=3 k=4 s=2 same"},
                                           Layer{"overlap_add", "128", "f=3 k=4 s=2 same"},
                                           Layer{"overlap_add", "24", "f=9 k=3 s=2 same first"},
                                           Layer{"deconvolution", "32", "f=16 k=4 s=2 same"},
                                           Layer{"deconvolution", "48", "f=80 k=4 s=2 same"},
                                           Layer{"deconvolution", "32",
                                                 "f=32 k=4 s=2 same first"}));

TEST_P(PlanSizeTest, PlansTakeWhatTheySayAndNotMore) {
  PlanCache cache(*planner_, int64_t{1} << 40);
  // Until the library's cache has forgotten the primitives of other tests.
  Compute(cache, 0, 150);
  const int64_t resident = ResidentBytes();
  const int64_t held = cache.bytes_held();
  Compute(cache, 150, 350);
  EXPECT_LE(ResidentBytes() - resident, cache.bytes_held() - held);
  EXPECT_GE(ResidentBytes() - resident, (cache.bytes_held() - held) / 16);
}

}  // namespace
}  // namespace tconv::server
