// Many callers, the queue and the host together: what they get is what each would
// get alone, whatever runs together, and the threads that compute are never more
// than allowed.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/compute/strategies.h"
#include "server/compute/worker_pool.h"
#include "server/store/memory_store.h"
#include "tests/support/lent_weights.h"
#include "tests/support/queued_forward.h"
#include "tests/support/shape_table.h"
#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::tconv::testing::IsOk;
using ::tconv::testing::ParseShapeRow;
using ::tconv::testing::QueuedForward;
using ::tconv::testing::RandomTensor;
using ::tconv::testing::ShapeRow;

constexpr int kCallers = 16;

// How the callers' work is done.
struct House {
  int max_batch;
  std::chrono::microseconds batch_delay;
};

class BatchingTest : public ::testing::TestWithParam<House> {
 protected:
  void Create(const std::string& name, const ShapeRow& row) {
    testing::LentWeights weights(testing::RandomWeights(row.problem, row.config.dtype.variable, 1));
    ASSERT_THAT(host_->Create({name, row.config, {}, weights.source()}), IsOk());
  }

  StatusOr<ForwardResult> Alone(const std::string& name, const Tensor& input) {
    ViewSource source(input.view());
    ForwardJob job(name, source, false);
    host_->Forward(job);
    return std::move(job.result);
  }

  const std::unique_ptr<WorkerPool> pool_ = WorkerPool::Make(2).value();
  const std::unique_ptr<const Planner> planner_ =
      Planner::Make(*MakeStrategies(*pool_), "").value();
  PlanCache plans_{*planner_, int64_t{1} << 28};
  MemoryStore store_{int64_t{1} << 28};
  const std::unique_ptr<LayerHost> host_ = LayerHost::Open(store_, plans_, *pool_, {}).value();
  AdmissionQueue queue_{{.handler_threads = 6,
                         .max_batch = GetParam().max_batch,
                         .batch_delay = GetParam().batch_delay},
                        &pool_->slots()};
};

INSTANTIATE_TEST_SUITE_P(Houses, BatchingTest,
                         ::testing::Values(House{1, std::chrono::microseconds(0)},
                                           House{32, std::chrono::microseconds(0)},
                                           House{4, std::chrono::microseconds(200)}));

TEST_P(BatchingTest, EveryCallerGetsItsOwnResult) {
  const ShapeRow rows[] = {ParseShapeRow("small 1x3x3x16 f=8 k=4 s=2 same"),
                           ParseShapeRow("large 1x24x24x32 f=32 k=5 s=2 same act=relu"),
                           ParseShapeRow("many 1x4x4x256 f=64 k=4 s=2 same")};
  for (const ShapeRow& row : rows) Create(row.name, row);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> callers;
  for (int caller = 0; caller < kCallers; ++caller) {
    callers.emplace_back([&, caller] {
      const ShapeRow& row = rows[caller % std::size(rows)];
      for (int round = 0; round < 20; ++round) {
        const Tensor input = RandomTensor(row.problem.src_shape(), DType::kFloat32,
                                          static_cast<uint64_t>(caller * 1000 + round));
        QueuedForward call(*host_, queue_, row.name, input);
        const auto result = call.Call();
        const auto expected = Alone(row.name, input);
        ASSERT_THAT(result, IsOk());
        if (std::memcmp(result->output.data, expected->output.data,
                        static_cast<size_t>(expected->output.size_bytes())) != 0) {
          ++wrong;
        }
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(queue_.calls(), 0);
  EXPECT_EQ(queue_.bytes(), 0);
}

}  // namespace
}  // namespace tconv::server
