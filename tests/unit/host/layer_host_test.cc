#include "server/host/layer_host.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/compute/strategies.h"
#include "server/compute/worker_pool.h"
#include "server/store/memory_store.h"
#include "tests/support/any_name.h"
#include "tests/support/layer_config_builder.h"
#include "tests/support/replica.h"
#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::tconv::testing::IsOk;
using ::tconv::testing::IsOkAndHolds;
using ::tconv::testing::LayerConfigBuilder;
using ::tconv::testing::OneByOne;
using ::tconv::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A store in memory that can be told to fail or to have damaged layers, and
// that counts what is read.
class FakeStore : public LayerStore {
 public:
  StatusOr<LayerIndex> ReadIndex() override {
    TCONV_ASSIGN_OR_RETURN(LayerIndex index, layers_.ReadIndex());
    index.damaged = damaged;
    return index;
  }
  StatusOr<int64_t> Create(const LayerRecord& record, const Weights* weights) override {
    return failure.ok() ? layers_.Create(record, weights) : failure;
  }
  Status Update(const LayerKey& layer, const LayerChange& change) override {
    return failure.ok() ? layers_.Update(layer, change) : failure;
  }
  StatusOr<StoredTraining> ReadTraining(const LayerKey& layer) override {
    return layers_.ReadTraining(layer);
  }
  StatusOr<Weights> ReadWeights(const LayerKey& layer) override {
    ++weight_reads;
    return layers_.ReadWeights(layer);
  }
  Status Delete(const std::string& name) override {
    if (!damaged.empty() && damaged[0].name == name) return OkStatus();
    return failure.ok() ? layers_.Delete(name) : failure;
  }
  StatusOr<int64_t> CreateChain(const ChainRecord& record) override {
    return failure.ok() ? layers_.CreateChain(record) : failure;
  }
  Status DeleteChain(const std::string& name) override {
    return failure.ok() ? layers_.DeleteChain(name) : failure;
  }
  std::unique_ptr<ChangeFeed> Follow(int64_t revision) override { return layers_.Follow(revision); }

  Status failure;
  std::vector<DamagedLayer> damaged;
  int weight_reads = 0;

 private:
  MemoryStore layers_{int64_t{1} << 30};
};

class LayerHostTest : public ::testing::Test {
 protected:
  LayerHostTest() { Restart({}); }

  // A new host over the same store.
  void Restart(const HostLimits& limits) {
    host_.reset();
    plans_ = std::make_unique<PlanCache>(*planner_, int64_t{1} << 24);
    host_ = LayerHost::Open(store_, *plans_, *pool_, limits).value();
  }

  // A layer that multiplies by `kernel`.
  void CreateScaling(const std::string& name, float kernel) {
    OneByOne weights(kernel, 0);
    ASSERT_THAT(host_->Create({name, LayerConfigBuilder().Build(), {}, weights.source()}), IsOk());
  }

  StatusOr<ForwardResult> Forward(const std::string& name, ConstTensorView input,
                                  bool compute_losses) {
    ViewSource source(input);
    ForwardJob job(name, source, compute_losses);
    host_->Forward(job);
    return std::move(job.result);
  }

  // What the layer makes of a single pixel.
  StatusOr<float> Apply(const std::string& name, float x) {
    const ConstTensorView input{DType::kFloat32, Shape({1, 1, 1, 1}),
                                reinterpret_cast<const std::byte*>(&x)};
    TCONV_ASSIGN_OR_RETURN(const ForwardResult result, Forward(name, input, false));
    return result.output.values<float>()[0];
  }

  FakeStore store_;
  std::unique_ptr<WorkerPool> pool_ = WorkerPool::Make(1).value();
  std::unique_ptr<const Planner> planner_ = Planner::Make(*MakeStrategies(*pool_), "").value();
  std::unique_ptr<PlanCache> plans_;
  std::unique_ptr<LayerHost> host_;
};

TEST_F(LayerHostTest, GeneratesNamesAsKerasDoes) {
  const auto create = [&](SpatialDims kernel_size) {
    return host_->Create({"", LayerConfigBuilder().KernelSize(kernel_size).Build(), {}, {}})->name;
  };
  EXPECT_EQ(create({1, 1}), "conv2d_transpose");
  EXPECT_EQ(create({3, 3}), "conv2d_transpose_1");
  EXPECT_EQ(create({3}), "conv1d_transpose");
  Restart({});
  EXPECT_EQ(create({3, 3}), "conv2d_transpose_2");
}

TEST_F(LayerHostTest, TakesTheNameOfTheRequestBeforeThatOfTheConfig) {
  const LayerConfig config = LayerConfigBuilder().Name("up1").Build();
  EXPECT_EQ(host_->Create({"", config, {}, {}})->name, "up1");
  const auto layer = host_->Create({"mine", config, {}, {}});
  ASSERT_THAT(layer, IsOk());
  EXPECT_EQ(layer->name, "mine");
  EXPECT_EQ(layer->config.name, "up1");
}

TEST_F(LayerHostTest, RefusesBadNames) {
  for (const std::string& name : {std::string("a/b"), std::string(256, 'x'), std::string("a\nb")}) {
    EXPECT_THAT(host_->Create({name, LayerConfigBuilder().Build(), {}, {}}),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr("name: expected")));
  }
  CreateScaling("taken", 1);
  EXPECT_THAT(host_->Create({"taken", LayerConfigBuilder().Build(), {}, {}}),
              StatusIs(StatusCode::kAlreadyExists));
}

TEST_F(LayerHostTest, HoldsNoMoreLayersThanAllowed) {
  Restart({.max_layers = 1});
  CreateScaling("first", 1);
  EXPECT_THAT(host_->Create({"second", LayerConfigBuilder().Build(), {}, {}}),
              StatusIs(StatusCode::kResourceExhausted, HasSubstr("limit of 1 layers")));
}

TEST_F(LayerHostTest, RefusesWeightsOverTheLimitBeforeAllocatingThem) {
  const LayerConfig config = LayerConfigBuilder().Filters(1'000'000).Build();
  EXPECT_THAT(host_->Create({"big", config, {-1, -1, -1, 1'000'000}, {}}),
              StatusIs(StatusCode::kResourceExhausted, HasSubstr("the server allows")));
}

TEST_F(LayerHostTest, BuildsOnceAndRunsTheInitializers) {
  const LayerConfig config = LayerConfigBuilder().Filters(2).KernelSize({3, 3}).Build();
  ASSERT_THAT(host_->Create({"up", config, {}, {}}), IsOk());
  EXPECT_THAT(Apply("up", 1), StatusIs(StatusCode::kFailedPrecondition, HasSubstr("call Build")));
  EXPECT_THAT(host_->Build("up", PartialShape{-1, -1, -1, -1}),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("input_shape")));

  const auto layer = host_->Build("up", PartialShape{-1, -1, -1, 4});
  ASSERT_THAT(layer, IsOk());
  EXPECT_EQ(layer->in_channels, 4);
  EXPECT_EQ(layer->parameter_count, 3 * 3 * 2 * 4 + 2);
  EXPECT_EQ(layer->weights_version, 1);
  EXPECT_THAT(host_->Build("up", PartialShape{-1, -1, -1, 4}),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("built already")));
}

TEST_F(LayerHostTest, SetWeightsChangesTheAnswerAndTheVersion) {
  CreateScaling("layer", 2);
  EXPECT_THAT(Apply("layer", 3), IsOkAndHolds(6.0f));
  EXPECT_THAT(host_->SetWeights("layer", OneByOne(5, 1).source(), std::nullopt), IsOkAndHolds(2));
  EXPECT_THAT(Apply("layer", 3), IsOkAndHolds(16.0f));
  EXPECT_THAT((*host_->GetWeights("layer"))->kernel.view().values<float>(), ElementsAre(5.0f));
}

TEST_F(LayerHostTest, SetWeightsComparesTheVersionFirst) {
  CreateScaling("layer", 2);
  OneByOne weights(5, 0);
  EXPECT_THAT(host_->SetWeights("layer", weights.source(), 7),
              StatusIs(StatusCode::kAborted, HasSubstr("expected 7")));
  EXPECT_THAT(host_->SetWeights("layer", weights.source(), 1), IsOkAndHolds(2));
}

TEST_F(LayerHostTest, SetWeightsThatDoNotFitChangeNothing) {
  CreateScaling("layer", 2);
  OneByOne weights(5, 0);
  EXPECT_THAT(host_->SetWeights("layer", {weights.source().kernel, nullptr}, std::nullopt),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("weights.bias")));
  EXPECT_THAT(Apply("layer", 3), IsOkAndHolds(6.0f));
  EXPECT_EQ(host_->Get("layer")->weights_version, 1);
}

TEST_F(LayerHostTest, AStoreThatFailsLeavesEverythingAsItWas) {
  CreateScaling("layer", 2);
  store_.failure = MakeError(StatusCode::kUnavailable, "disk full");
  EXPECT_THAT(host_->SetWeights("layer", OneByOne(5, 0).source(), std::nullopt),
              StatusIs(StatusCode::kUnavailable));
  EXPECT_THAT(host_->Delete("layer"), StatusIs(StatusCode::kUnavailable));
  EXPECT_THAT(host_->Create({"other", LayerConfigBuilder().Build(), {}, {}}),
              StatusIs(StatusCode::kUnavailable));
  EXPECT_THAT(Apply("layer", 3), IsOkAndHolds(6.0f));
  EXPECT_THAT(host_->Get("other"), StatusIs(StatusCode::kNotFound));

  store_.failure = OkStatus();
  EXPECT_THAT(host_->SetWeights("layer", OneByOne(5, 0).source(), std::nullopt), IsOkAndHolds(2));
}

TEST_F(LayerHostTest, ServesTheSameLayersAfterARestart) {
  CreateScaling("layer", 2);
  ASSERT_THAT(host_->SetWeights("layer", OneByOne(5, 0).source(), std::nullopt), IsOk());
  Restart({});
  EXPECT_EQ(host_->Get("layer")->weights_version, 2);
  EXPECT_EQ(host_->Get("layer")->weight_bytes_held, 0);
  EXPECT_THAT(Apply("layer", 3), IsOkAndHolds(15.0f));
  EXPECT_EQ(host_->Get("layer")->weight_bytes_held, 8);
}

TEST_F(LayerHostTest, ForgetsWeightsUsedLeastRecentlyAndReadsThemAgain) {
  Restart({.max_loaded_weight_bytes = 8});
  CreateScaling("first", 2);
  CreateScaling("second", 3);
  EXPECT_THAT(Apply("first", 1), IsOkAndHolds(2.0f));
  EXPECT_EQ(store_.weight_reads, 1);
  EXPECT_THAT(host_->Get("first")->plans, SizeIs(1));
  EXPECT_THAT(Apply("second", 1), IsOkAndHolds(3.0f));
  EXPECT_EQ(store_.weight_reads, 2);
  EXPECT_EQ(host_->Get("first")->weight_bytes_held, 0);
  EXPECT_THAT(host_->Get("first")->plans, IsEmpty());
  EXPECT_THAT(Apply("first", 1), IsOkAndHolds(2.0f));
  EXPECT_EQ(store_.weight_reads, 3);
}

TEST_F(LayerHostTest, TheShapesInUseHavePlansForNewWeightsAtOnce) {
  CreateScaling("layer", 2);
  ASSERT_THAT(Apply("layer", 1), IsOk());
  const auto before = host_->Get("layer");
  ASSERT_THAT(before->plans, SizeIs(1));
  EXPECT_EQ(before->plans[0]->problem.src_shape(), Shape({1, 1, 1, 1}));
  ASSERT_THAT(host_->SetWeights("layer", OneByOne(5, 0).source(), std::nullopt), IsOk());
  const auto after = host_->Get("layer");
  ASSERT_THAT(after->plans, SizeIs(1));
  EXPECT_NE(after->plans[0], before->plans[0]);
  ASSERT_THAT(Apply("layer", 1), IsOk());
  EXPECT_EQ(host_->Get("layer")->plans, after->plans);
}

TEST_F(LayerHostTest, AnswersAnEmptyBatchWithAnEmptyOutput) {
  CreateScaling("layer", 2);
  const auto result = Forward("layer", {DType::kFloat32, Shape({0, 3, 4, 1}), nullptr}, true);
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->output.shape, Shape({0, 3, 4, 1}));
}

TEST_F(LayerHostTest, RefusesOutputsOverTheLimitBeforeAllocatingThem) {
  Restart({.max_output_bytes = 1024});
  const LayerConfig config = LayerConfigBuilder().KernelSize({2, 2}).Strides({16, 16}).Build();
  OneByOne pixel(1, 0);
  ASSERT_THAT(host_->Create({"layer", config, {-1, -1, -1, 1}, {}}), IsOk());
  EXPECT_THAT(Forward("layer", {DType::kFloat32, Shape({1, 2, 2, 1}), nullptr}, false),
              StatusIs(StatusCode::kResourceExhausted, HasSubstr("[1, 32, 32, 1]")));
}

TEST_F(LayerHostTest, ReportsLossesInTheOrderOfKeras) {
  const ObjectSpec l1{"L1", {{"l1", 1.0}}};
  const auto config = [&](bool trainable) {
    return LayerConfigBuilder()
        .Trainable(trainable)
        .KernelRegularizer(l1)
        .BiasRegularizer(l1)
        .ActivityRegularizer(l1)
        .Build();
  };
  OneByOne weights(2, 3);
  ASSERT_THAT(host_->Create({"trained", config(true), {}, weights.source()}), IsOk());
  ASSERT_THAT(host_->Create({"frozen", config(false), {}, weights.source()}), IsOk());

  const std::array<float, 2> x = {1, 2};
  const ConstTensorView input{DType::kFloat32, Shape({2, 1, 1, 1}),
                              reinterpret_cast<const std::byte*>(x.data())};
  const auto losses = [&](const std::string& name) {
    const ForwardResult result = Forward(name, input, true).value();
    std::vector<std::pair<LossSource, double>> terms;
    for (const Loss& loss : result.losses) terms.emplace_back(loss.source, loss.value);
    return terms;
  };
  EXPECT_THAT(losses("trained"),
              ElementsAre(std::pair(LossSource::kActivity, 6.0),
                          std::pair(LossSource::kKernel, 2.0), std::pair(LossSource::kBias, 3.0)));
  EXPECT_THAT(losses("frozen"), ElementsAre(std::pair(LossSource::kActivity, 6.0)));
}

TEST_F(LayerHostTest, ListsLayersPageByPage) {
  for (const char* name : {"b", "d", "a", "c", "e"}) CreateScaling(name, 1);
  std::vector<std::vector<std::string>> pages;
  std::string after;
  do {
    const LayerPage page = host_->List(after, 2, testing::AnyName);
    pages.emplace_back();
    for (const LayerInfo& layer : page.layers) pages.back().push_back(layer.name);
    after = page.next;
  } while (!after.empty());
  EXPECT_THAT(pages, ElementsAre(ElementsAre("a", "b"), ElementsAre("c", "d"), ElementsAre("e")));
}

TEST_F(LayerHostTest, ADeletedLayerIsGoneAndItsNameIsFree) {
  CreateScaling("layer", 2);
  EXPECT_THAT(host_->Delete("layer"), IsOk());
  EXPECT_THAT(Apply("layer", 1), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(host_->Delete("layer"), StatusIs(StatusCode::kNotFound));
  CreateScaling("layer", 4);
  EXPECT_THAT(Apply("layer", 1), IsOkAndHolds(4.0f));
}

TEST_F(LayerHostTest, ADamagedLayerSaysSoUntilItIsDeleted) {
  store_.damaged = {{.name = "broken",
                     .id = 1,
                     .error = MakeError(StatusCode::kDataLoss, "layer \"broken\" is damaged")}};
  Restart({});
  EXPECT_THAT(Apply("broken", 1), StatusIs(StatusCode::kDataLoss));
  EXPECT_THAT(host_->Delete("broken"), IsOk());
  EXPECT_THAT(Apply("broken", 1), StatusIs(StatusCode::kNotFound));
}

TEST_F(LayerHostTest, EveryAnswerBelongsToOneVersionWhileWeightsChange) {
  // Version v multiplies by v and adds v: an answer made of two versions would
  // not be v + v.
  OneByOne first(1, 1);
  ASSERT_THAT(host_->Create({"layer", LayerConfigBuilder().Build(), {}, first.source()}), IsOk());
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      const float x = 1;
      const ConstTensorView input{DType::kFloat32, Shape({1, 1, 1, 1}),
                                  reinterpret_cast<const std::byte*>(&x)};
      int64_t version = 0;
      while (version < 100) {
        const auto result = Forward("layer", input, false);
        ASSERT_THAT(result, IsOk());
        ASSERT_GE(result->weights_version, version);
        version = result->weights_version;
        ASSERT_EQ(result->output.values<float>()[0], static_cast<float>(2 * version));
      }
    });
  }
  for (int64_t version = 2; version <= 100; ++version) {
    const auto value = static_cast<float>(version);
    ASSERT_THAT(host_->SetWeights("layer", OneByOne(value, value).source(), version - 1),
                IsOkAndHolds(version));
  }
  for (std::thread& reader : readers) reader.join();
}

}  // namespace
}  // namespace tconv::server
