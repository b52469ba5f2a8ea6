// Jobs that are computed together, against the same jobs each alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "server/compute/strategies.h"
#include "server/compute/worker_pool.h"
#include "server/host/layer_host.h"
#include "server/store/memory_store.h"
#include "tests/support/lent_weights.h"
#include "tests/support/shape_table.h"
#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::tconv::testing::IsOk;
using ::tconv::testing::ParseShapeRow;
using ::tconv::testing::RandomTensor;
using ::tconv::testing::ShapeRow;
using ::tconv::testing::StatusIs;

// A host with one layer, whose plans are all of one strategy; "": of the best.
class OneLayerHost {
 public:
  OneLayerHost(const ShapeRow& row, const std::string& strategy, const HostLimits& limits = {})
      : row_(row), planner_(Planner::Make(*MakeStrategies(*pool_), strategy).value()) {
    host_ = LayerHost::Open(store_, plans_, *pool_, limits).value();
    testing::LentWeights weights(testing::RandomWeights(row.problem, row.config.dtype.variable, 1));
    EXPECT_THAT(host_->Create({"layer", row.config, {}, weights.source()}), IsOk());
  }

  LayerHost& host() { return *host_; }

  // Different for each `seed`; of another type than the layer's for some.
  Tensor Input(uint64_t seed) const {
    const DType dtype = seed % 4 == 3 ? DType::kFloat64 : row_.problem.dtype;
    return RandomTensor(row_.problem.src_shape(), dtype, seed);
  }

  StatusOr<ForwardResult> Forward(const Tensor& input) {
    ViewSource source(input.view());
    ForwardJob job("layer", source, false);
    host_->Forward(job);
    return std::move(job.result);
  }

  // The output of input `with_room` goes into `room`.
  std::vector<StatusOr<ForwardResult>> ForwardTogether(std::span<const Tensor> inputs,
                                                       size_t with_room = 0,
                                                       std::optional<OutputRoom> room = {}) {
    std::vector<ViewSource> sources;
    for (const Tensor& input : inputs) sources.emplace_back(input.view());
    std::vector<ForwardJob> jobs;
    for (ViewSource& source : sources) jobs.emplace_back("layer", source, false);
    jobs[with_room].room = std::move(room);
    std::vector<ForwardJob*> pointers;
    for (ForwardJob& job : jobs) pointers.push_back(&job);
    host_->ForwardTogether(pointers);
    std::vector<StatusOr<ForwardResult>> results;
    for (ForwardJob& job : jobs) results.push_back(std::move(job.result));
    return results;
  }

 private:
  const ShapeRow row_;
  const std::unique_ptr<WorkerPool> pool_ = WorkerPool::Make(2).value();
  const std::unique_ptr<const Planner> planner_;
  PlanCache plans_{*planner_, int64_t{1} << 28};
  MemoryStore store_{int64_t{1} << 28};
  std::unique_ptr<LayerHost> host_;
};

bool HaveSameBytes(ConstTensorView a, ConstTensorView b) {
  return a.dtype == b.dtype && a.shape == b.shape &&
         std::memcmp(a.data, b.data, static_cast<size_t>(a.size_bytes())) == 0;
}

// In how many outputs the results lie.
size_t OwnersOf(const std::vector<StatusOr<ForwardResult>>& results) {
  std::set<const void*> owners;
  for (const auto& result : results) owners.insert(result->owner.get());
  return owners.size();
}

// Computes `count` inputs together and checks that each result is that of the
// input alone. The number of outputs that they lie in; 0 when the strategy does
// not take the row.
size_t CheckTogether(const ShapeRow& row, const std::string& strategy, uint64_t count,
                     const HostLimits& limits = {}) {
  OneLayerHost layer(row, strategy, limits);
  std::vector<Tensor> inputs;
  for (uint64_t seed = 0; seed < count; ++seed) inputs.push_back(layer.Input(seed));
  const auto together = layer.ForwardTogether(inputs);
  for (uint64_t i = 0; i < count; ++i) {
    const auto alone = layer.Forward(inputs[i]);
    EXPECT_EQ(together[i].status(), alone.status());
    if (!alone.ok()) return 0;
    EXPECT_TRUE(HaveSameBytes(together[i]->output, alone->output))
        << row.line << ", " << strategy << ", input " << i;
    EXPECT_EQ(together[i]->weights_version, alone->weights_version);
  }
  return OwnersOf(together);
}

class EveryStrategyTest : public ::testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(ForwardTogether, EveryStrategyTest,
                         ::testing::Values("", "phase_conv", "overlap_add", "in_place_matmul",
                                           "weight_stream", "deconvolution", "reference"),
                         [](const auto& test) {
                           return *test.param == '\0' ? std::string("planned") : test.param;
                         });

TEST_P(EveryStrategyTest, GivesTheResultsOfEachAloneForLayersOfAnyKind) {
  std::mt19937 random(4711);
  const auto pick = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  testing::RandomShapeRange range;
  range.largest_extent = {20, 9, 5};
  range.dtypes.push_back("float64");
  int together = 0;
  for (int i = 0; i < 120; ++i) {
    if (CheckTogether(testing::RandomShapeRow(pick, range), GetParam(), 5) == 1) ++together;
  }
  EXPECT_GE(together, 5);
}

TEST_P(EveryStrategyTest, GivesTheResultsOfEachAloneForTheSmallRowsOfTheTable) {
  for (const ShapeRow& row : testing::ReadShapeTable()) {
    if (!row.is_bench) CheckTogether(row, GetParam(), 3);
  }
}

TEST(ForwardTogetherTest, JobsOfOneShapeShareAnOutput) {
  EXPECT_EQ(CheckTogether(ParseShapeRow("r 1x4x4x64 f=32 k=4 s=2 same"), "", 8), 1u);
}

TEST(ForwardTogetherTest, WhatIsLeftOverIsAFurtherBatch) {
  EXPECT_EQ(CheckTogether(ParseShapeRow("r 2x4x4x8 f=4 k=4 s=2 same"), "", 13), 2u);
}

TEST(ForwardTogetherTest, FewPlansServeAnyNumberOfJobs) {
  OneLayerHost layer(ParseShapeRow("r 1x4x4x8 f=4 k=4 s=2 same"), "");
  std::vector<Tensor> inputs;
  for (uint64_t count = 1; count <= 32; ++count) {
    inputs.push_back(layer.Input(count));
    for (const auto& result : layer.ForwardTogether(inputs)) EXPECT_THAT(result, IsOk());
  }
  EXPECT_LE(layer.host().Get("layer")->plans.size(), 18u);
}

TEST(ForwardTogetherTest, AnActivationAlongTheImagesSeesThoseOfItsOwnJobOnly) {
  for (const char* activation : {"softmax", "log_softmax", "glu"}) {
    for (const char* axis : {"0", "-4"}) {
      const auto row =
          ParseShapeRow(fmt::format("r 2x3x3x4 f=4 k=3 s=2 same act={} axis={}", activation, axis));
      EXPECT_EQ(CheckTogether(row, "", 4), 4u) << activation;
    }
  }
}

TEST(ForwardTogetherTest, NoOutputIsLargerThanAllowed) {
  const auto row = ParseShapeRow("r 1x4x4x8 f=4 k=4 s=2 same");
  HostLimits limits;
  limits.max_output_bytes = 3 * row.problem.dst_shape().num_elements() * 4;
  EXPECT_EQ(CheckTogether(row, "", 9, limits), 3u);
}

TEST(ForwardTogetherTest, AJobThatFailsDoesNotHarmTheOthers) {
  const auto row = ParseShapeRow("r 1x4x4x8 f=4 k=4 s=2 same");
  OneLayerHost layer(row, "");
  std::vector<Tensor> inputs;
  for (uint64_t seed = 0; seed < 3; ++seed) inputs.push_back(layer.Input(seed));
  inputs[1] = RandomTensor(Shape({1, 4, 4, 7}), DType::kFloat32, 1);
  const auto results = layer.ForwardTogether(inputs);
  EXPECT_THAT(results[1], StatusIs(StatusCode::kInvalidArgument, ::testing::HasSubstr("channels")));
  for (const size_t i : {0, 2}) {
    EXPECT_TRUE(HaveSameBytes(results[i]->output, layer.Forward(inputs[i])->output));
  }
  EXPECT_EQ(results[0]->owner, results[2]->owner);
}

TEST(ForwardTogetherTest, JobsOfDifferentShapesAreComputedBesideEachOther) {
  OneLayerHost layer(ParseShapeRow("r 1x4x4x8 f=4 k=4 s=2 same"), "");
  std::vector<Tensor> inputs;
  for (const int64_t images : {1, 2, 1, 0, 2}) {
    inputs.push_back(RandomTensor(Shape({images, 4, 4, 8}), DType::kFloat32, inputs.size()));
  }
  const auto results = layer.ForwardTogether(inputs);
  for (size_t i = 0; i < inputs.size(); ++i) {
    ASSERT_THAT(results[i], IsOk());
    EXPECT_EQ(results[i]->output.shape, Shape({inputs[i].shape()[0], 8, 8, 4}));
    if (inputs[i].shape()[0] == 0) continue;
    EXPECT_TRUE(HaveSameBytes(results[i]->output, layer.Forward(inputs[i])->output));
  }
  EXPECT_EQ(OwnersOf(results), 3u);
}

TEST(ForwardTogetherTest, AllFailWithoutTheLayer) {
  OneLayerHost layer(ParseShapeRow("r 1x4x4x8 f=4 k=4"), "");
  ASSERT_THAT(layer.host().Delete("layer"), IsOk());
  std::vector<Tensor> inputs;
  for (uint64_t seed = 0; seed < 2; ++seed) inputs.push_back(layer.Input(seed));
  for (const auto& result : layer.ForwardTogether(inputs)) {
    EXPECT_THAT(result, StatusIs(StatusCode::kNotFound));
  }
}

// Elements in memory that can be read as it is, and are not to be moved.
class InPlaceSource final : public TensorSource {
 public:
  explicit InPlaceSource(ConstTensorView view) : view_(view) {}
  DType dtype() const override { return view_.dtype; }
  const Shape& shape() const override { return view_.shape; }
  const std::byte* InPlace() const override { return view_.data; }
  void MoveTo(std::byte*) override { ADD_FAILURE() << "moved"; }

 private:
  const ConstTensorView view_;
};

TEST(ForwardTogetherTest, AJobThatIsAloneIsReadWhereItLies) {
  OneLayerHost layer(ParseShapeRow("r 1x4x4x8 f=4 k=4 s=2 same"), "");
  const Tensor input = layer.Input(0);
  InPlaceSource source(input.view());
  ForwardJob job("layer", source, false);
  layer.host().Forward(job);
  ASSERT_THAT(job.result, IsOk());
  EXPECT_TRUE(HaveSameBytes(job.result->output, layer.Forward(input)->output));
}

// Room for the output of a row, with elements behind it that nobody may touch.
class GuardedRoom {
 public:
  explicit GuardedRoom(const ShapeRow& row)
      : bytes_(ConstTensorView{row.problem.dtype, row.problem.dst_shape()}.size_bytes()) {
    std::memset(memory_->mutable_view().data, 0x5A, static_cast<size_t>(bytes_ + kGuardBytes));
  }

  OutputRoom room() const { return {memory_->mutable_view().data, bytes_, memory_}; }

  // Whether `result` lies here, with the same bits as `expected`.
  bool Has(const StatusOr<ForwardResult>& result, ConstTensorView expected) const {
    const std::byte* data = memory_->view().data;
    return result->output.data == data && result->owner == memory_ &&
           HaveSameBytes(result->output, expected) &&
           std::all_of(data + bytes_, data + bytes_ + kGuardBytes,
                       [](std::byte guard) { return guard == std::byte{0x5A}; });
  }

 private:
  static constexpr int64_t kGuardBytes = 256;

  const int64_t bytes_;
  const std::shared_ptr<Tensor> memory_ = std::make_shared<Tensor>(
      Tensor::Allocate(DType::kFloat32, Shape({(bytes_ + kGuardBytes) / 4})).value());
};

TEST(ForwardTogetherTest, AJobWithRoomIsComputedThereAndNotWithTheOthers) {
  const auto row = ParseShapeRow("r 1x4x4x8 f=4 k=4 s=2 same");
  for (const size_t with_room : {0, 1, 2}) {
    OneLayerHost layer(row, "");
    const GuardedRoom room(row);
    std::vector<Tensor> inputs;
    for (uint64_t seed = 0; seed < 3; ++seed) inputs.push_back(layer.Input(seed));
    const auto results = layer.ForwardTogether(inputs, with_room, room.room());
    EXPECT_EQ(OwnersOf(results), 2u);
    EXPECT_TRUE(room.Has(results[with_room], layer.Forward(inputs[with_room])->output));
    for (size_t i = 0; i < inputs.size(); ++i) {
      EXPECT_TRUE(HaveSameBytes(results[i]->output, layer.Forward(inputs[i])->output)) << i;
    }
  }
}

TEST(ForwardTogetherTest, RoomIsFilledSlabBySlab) {
  HostLimits limits;
  limits.slab_bytes = 1;
  for (const char* line : {"r 3x9x4x8 f=4 k=4 s=2 same", "r 3x9x4x8 f=4 k=4 s=2 same first"}) {
    const auto row = ParseShapeRow(line);
    OneLayerHost layer(row, "", limits);
    const GuardedRoom room(row);
    const Tensor input = layer.Input(0);
    const auto results = layer.ForwardTogether({&input, 1}, 0, room.room());
    EXPECT_TRUE(room.Has(results[0], layer.Forward(input)->output)) << line;
  }
}

TEST(ForwardTogetherTest, RoomIsTheOnlyLimitOfWhatIsComputedThere) {
  const auto row = ParseShapeRow("r 1x4x4x8 f=4 k=4 s=2 same");
  HostLimits limits;
  limits.max_output_bytes = 100;
  OneLayerHost layer(row, "", limits);
  const GuardedRoom room(row);
  const Tensor input = layer.Input(0);
  OutputRoom too_small = room.room();
  EXPECT_THAT(layer.Forward(input), StatusIs(StatusCode::kResourceExhausted));
  EXPECT_THAT(layer.ForwardTogether({&input, 1}, 0, too_small)[0], IsOk());
  --too_small.size_bytes;
  EXPECT_THAT(layer.ForwardTogether({&input, 1}, 0, too_small)[0],
              StatusIs(StatusCode::kInvalidArgument, ::testing::HasSubstr("output.size_bytes")));
}

TEST(ForwardTogetherTest, RemembersTheLeastTimeOfAForward) {
  const auto row = ParseShapeRow("r 1x4x4x8 f=4 k=4 s=2 same");
  OneLayerHost layer(row, "");
  const Shape shape = row.problem.src_shape();
  constexpr std::chrono::nanoseconds kUnknown(0);
  EXPECT_EQ(layer.host().OutlookOf("layer", shape).least_time, kUnknown);
  ASSERT_THAT(layer.Forward(layer.Input(0)), IsOk());
  EXPECT_GT(layer.host().OutlookOf("layer", shape).least_time, kUnknown);
  EXPECT_EQ(layer.host().OutlookOf("layer", Shape({1, 5, 5, 8})).least_time, kUnknown);
  EXPECT_EQ(layer.host().OutlookOf("layer", Shape({1, 5})).least_time, kUnknown);
  EXPECT_EQ(layer.host().OutlookOf("other", shape).least_time, kUnknown);
}

TEST(ForwardTogetherTest, OnlyLayersWithLargeWeightsForSmallImagesGain) {
  const auto gains = [](const std::string& line) {
    const auto row = ParseShapeRow(line);
    OneLayerHost layer(row, "");
    EXPECT_FALSE(layer.host().OutlookOf("layer", row.problem.src_shape()).gains_together);
    EXPECT_THAT(layer.Forward(layer.Input(0)), IsOk());
    return layer.host().OutlookOf("layer", row.problem.src_shape()).gains_together;
  };
  EXPECT_TRUE(gains("small 1x2x2x512 f=256 k=4 s=2 same"));
  EXPECT_FALSE(gains("large 1x64x64x16 f=16 k=3 s=2 same"));
}

}  // namespace
}  // namespace tconv::server
