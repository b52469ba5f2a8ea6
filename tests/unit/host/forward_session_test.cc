#include "server/host/forward_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "server/compute/strategies.h"
#include "server/host/layer_host.h"
#include "server/store/memory_store.h"
#include "tests/support/parity.h"
#include "tests/support/session_stream.h"
#include "tests/support/shape_table.h"
#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::tconv::testing::DifferenceOf;
using ::tconv::testing::HaveEqualBits;
using ::tconv::testing::IsOk;
using ::tconv::testing::ParseShapeRow;
using ::tconv::testing::PassThrough;
using ::tconv::testing::RandomShapeRow;
using ::tconv::testing::RandomTensor;
using ::tconv::testing::RandomWeights;
using ::tconv::testing::ReadShapeTable;
using ::tconv::testing::ShapeRow;
using ::tconv::testing::StatusIs;
using ::tconv::testing::Streamed;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kThinSlabs = 1;

// A host with one strategy, or the planner's choice, and slabs of a size.
class Host {
 public:
  explicit Host(const HostLimits& limits, const std::string& strategy = "")
      : planner_(Planner::Make(MakeStrategies(*pool_).value(), strategy).value()),
        host_(LayerHost::Open(store_, plans_, *pool_, limits).value()) {}

  LayerHost& operator*() { return *host_; }
  LayerHost* operator->() { return host_.get(); }

  void Create(const ShapeRow& row) {
    const auto weights = RandomWeights(row.problem, row.config.dtype.variable, 7);
    LayerDraft draft;
    draft.name = row.name;
    draft.config = row.config;
    ViewSource kernel(weights->kernel.view());
    ViewSource bias(weights->bias.has_value() ? weights->bias->view() : ConstTensorView());
    draft.weights = WeightsSource{&kernel, weights->bias.has_value() ? &bias : nullptr};
    ASSERT_THAT(host_->Create(std::move(draft)), IsOk());
  }

  ForwardResult Forward(const ShapeRow& row, const Tensor& input) {
    ViewSource source(input.view());
    ForwardJob job(row.name, source, true);
    host_->Forward(job);
    return std::move(job.result).value();
  }

 private:
  std::unique_ptr<WorkerPool> pool_ = WorkerPool::Make(2).value();
  std::unique_ptr<const Planner> planner_;
  PlanCache plans_{*planner_, int64_t{1} << 28};
  MemoryStore store_{int64_t{1} << 30};
  std::unique_ptr<LayerHost> host_;
};

std::unique_ptr<ForwardSession> Open(Host& host, const ShapeRow& row, const Tensor& input) {
  return host->StreamForward({row.name, input.dtype(), input.shape(), true}).value();
}

// Streamed, the row gives the bits of a Forward in thin slabs, which are those of
// a Forward in one slab but for the order of summation.
void ExpectBitsOfForward(const ShapeRow& row, const std::string& strategy, DType dtype,
                         size_t piece_bytes = 1000) {
  Host thin({.slab_bytes = kThinSlabs}, strategy);
  Host whole({}, strategy);
  thin.Create(row);
  whole.Create(row);
  const Tensor input = RandomTensor(row.problem.src_shape(), dtype, 11);
  const auto session = Open(thin, row, input);
  const Streamed streamed = PassThrough(*session, input, piece_bytes);
  const ForwardResult unary = thin.Forward(row, input);
  const ForwardResult at_once = whole.Forward(row, input);
  EXPECT_TRUE(HaveEqualBits(streamed.output.view(), unary.output)) << strategy << ": " << row.line;
  EXPECT_EQ(DifferenceOf(streamed.output,
                         Tensor::Converted(at_once.output, at_once.output.dtype).value()),
            "")
      << strategy << ": " << row.line;
  ASSERT_EQ(streamed.losses.size(), unary.losses.size());
  for (size_t i = 0; i < unary.losses.size(); ++i) {
    EXPECT_EQ(streamed.losses[i].value, unary.losses[i].value) << row.line;
  }
}

class ForwardSessionShapeTest : public ::testing::TestWithParam<ShapeRow> {};

std::vector<ShapeRow> SmallRows() {
  std::vector<ShapeRow> rows = ReadShapeTable();
  std::erase_if(rows, [](const ShapeRow& row) { return row.is_bench; });
  return rows;
}

INSTANTIATE_TEST_SUITE_P(Shapes, ForwardSessionShapeTest, ::testing::ValuesIn(SmallRows()),
                         [](const auto& row) { return row.param.name; });

TEST_P(ForwardSessionShapeTest, GivesTheBitsOfForward) {
  ShapeRow row = GetParam();
  row.config.activity_regularizer = Regularizer::Make({"L1L2", {{"l1", 0.1}, {"l2", 0.2}}}).value();
  ExpectBitsOfForward(row, "", row.problem.dtype);
}

TEST(ForwardSessionTest, GivesTheBitsOfForwardWithEveryStrategy) {
  std::mt19937 random(33);
  const auto pick = [&](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random() % static_cast<uint64_t>(high - low + 1));
  };
  const auto pool = WorkerPool::Make(1).value();
  const auto strategies = MakeStrategies(*pool).value();
  for (int i = 0; i < 60; ++i) {
    const ShapeRow row = RandomShapeRow(pick);
    const Slabs slabs = SlabsOf(row.problem, kThinSlabs);
    if (row.problem.dst_shape().num_elements() == 0) continue;
    for (const auto& strategy : strategies) {
      bool is_taken = strategy->Supports(row.problem).ok();
      for (int64_t s = 0; s < slabs.size(); ++s) {
        is_taken &= strategy->Supports(slabs[s].problem).ok();
      }
      if (!is_taken) continue;
      ExpectBitsOfForward(row, std::string(strategy->name()), row.problem.dtype);
    }
  }
}

TEST(ForwardSessionTest, ConvertsItsInputAsForwardDoes) {
  for (const DType dtype : {DType::kFloat64, DType::kFloat16, DType::kBFloat16}) {
    ExpectBitsOfForward(ParseShapeRow("last 2x9x4x3 f=4 k=3 s=2 same"), "", dtype);
    ExpectBitsOfForward(ParseShapeRow("first 2x9x4x3 f=4 k=3 s=2 same first"), "", dtype);
  }
}

TEST(ForwardSessionTest, TakesItsInputByteByByte) {
  ExpectBitsOfForward(ParseShapeRow("x 1x9x4x3 f=4 k=3 s=2 same"), "", DType::kFloat32, 1);
}

TEST(ForwardSessionTest, HasNoOutputForNoImages) {
  const ShapeRow row = ParseShapeRow("x 0x9x4x3 f=4 k=3");
  Host host({});
  host.Create(row);
  const Tensor input = Tensor::Allocate(DType::kFloat32, row.problem.src_shape()).value();
  const auto session = Open(host, row, input);
  EXPECT_EQ(PassThrough(*session, input, 1).output.size_bytes(), 0);
}

TEST(ForwardSessionTest, HoldsTwoSlabsOfInputAndOfOutput) {
  const ShapeRow row = ParseShapeRow("x 1x64x8x3 f=4 k=2 s=2");
  Host host({.slab_bytes = kThinSlabs});
  host.Create(row);
  const Tensor input = RandomTensor(row.problem.src_shape(), DType::kFloat32, 11);
  const auto session = Open(host, row, input);
  const auto fill = [&] {
    int slabs = 0;
    for (;; ++slabs) {
      const auto room = session->Room().value();
      if (room.empty()) return slabs;
      std::memset(room.data(), 0, room.size());
      session->Fill(room.size());
    }
  };
  EXPECT_EQ(fill(), 2);
  ASSERT_THAT(session->Compute(), IsOk());
  EXPECT_EQ(fill(), 1);
  ASSERT_THAT(session->Compute(), IsOk());
  EXPECT_EQ(fill(), 1);
  EXPECT_FALSE(session->CanCompute());
  ASSERT_TRUE(session->Take().has_value());
  EXPECT_FALSE(session->CanCompute());
  session->Release();
  EXPECT_TRUE(session->CanCompute());
}

TEST(ForwardSessionTest, KeepsTheWeightsThatItBeganWith) {
  const ShapeRow row = ParseShapeRow("x 1x9x4x3 f=4 k=3 s=2 same");
  Host host({.slab_bytes = kThinSlabs});
  host.Create(row);
  const Tensor input = RandomTensor(row.problem.src_shape(), DType::kFloat32, 11);
  const ForwardResult before = host.Forward(row, input);
  const auto session = Open(host, row, input);
  const auto other = RandomWeights(row.problem, DType::kFloat32, 99);
  ViewSource kernel(other->kernel.view());
  ViewSource bias(other->bias->view());
  ASSERT_THAT(host->SetWeights(row.name, WeightsSource{&kernel, &bias}, {}), IsOk());
  const Streamed streamed = PassThrough(*session, input, 1000);
  EXPECT_TRUE(HaveEqualBits(streamed.output.view(), before.output));
  EXPECT_EQ(session->weights_version(), 1);
}

TEST(ForwardSessionTest, IsRefusedBeyondTheBytesOfAStream) {
  const ShapeRow row = ParseShapeRow("x 1x9x4x3 f=4 k=3 s=2 same");
  Host host({.max_stream_bytes = 100, .slab_bytes = kThinSlabs});
  host.Create(row);
  EXPECT_THAT(host->StreamForward({row.name, DType::kFloat32, row.problem.src_shape(), false}),
              StatusIs(StatusCode::kResourceExhausted, HasSubstr("100")));
}

TEST(ForwardSessionTest, MayGiveMoreThanAForward) {
  const ShapeRow row = ParseShapeRow("x 1x64x8x3 f=4 k=3 s=2 same");
  Host host({.max_output_bytes = 1000, .slab_bytes = kThinSlabs});
  host.Create(row);
  const Tensor input = RandomTensor(row.problem.src_shape(), DType::kFloat32, 11);
  const auto session = Open(host, row, input);
  EXPECT_GT(PassThrough(*session, input, 1000).output.size_bytes(), 1000);
}

TEST(ForwardSessionTest, IsCheckedAsAForward) {
  const ShapeRow row = ParseShapeRow("x 1x9x4x3 f=4 k=3 s=2 same");
  Host host({});
  host.Create(row);
  EXPECT_THAT(host->StreamForward({"y", DType::kFloat32, row.problem.src_shape(), false}),
              StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(host->StreamForward({"x", DType::kFloat32, Shape{1, 9, 4, 2}, false}),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("input.shape")));
}

}  // namespace
}  // namespace tconv::server
