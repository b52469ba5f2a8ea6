#include "server/host/chains.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "server/compute/activation_pass.h"
#include "tests/support/layer_config_builder.h"
#include "tests/support/session_stream.h"
#include "tests/support/shape_table.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/host/chain_host.h"

namespace tconv::server {
namespace {

using testing::ChainHost;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::HaveEqualBits;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::LayerConfigBuilder;
using testing::RandomTensor;
using ::testing::SizeIs;
using testing::StatusIs;

Activation Function(const ObjectSpec& spec) { return Activation::Make(spec).value(); }

// A stack that is drawn by lot: layers that fit each other, and what goes in.
struct Stack {
  std::vector<LayerConfig> layers;
  int64_t in_channels = 0;
  Shape input;
  DType input_dtype = DType::kFloat32;
};

Stack RandomStack(uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto pick = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  const auto one_of = [&](const std::vector<std::string>& names) {
    return names[static_cast<size_t>(pick(0, static_cast<int64_t>(names.size()) - 1))];
  };
  const auto rank = static_cast<size_t>(pick(1, 3));
  const bool is_planar = pick(0, 1) == 1;
  Stack stack;
  stack.in_channels = pick(1, 20);
  const int64_t layers = pick(1, 4);
  for (int64_t i = 0; i < layers; ++i) {
    SpatialDims kernel;
    SpatialDims strides;
    for (size_t axis = 0; axis < rank; ++axis) {
      kernel.push_back(pick(1, 4));
      strides.push_back(pick(1, 2));
    }
    LayerConfigBuilder builder;
    builder.Filters(pick(1, 20)).KernelSize(kernel).Strides(strides);
    builder.DType(one_of({"float32", "float32", "float64", "mixed_bfloat16", "float16"}));
    builder.Activation(one_of({"linear", "relu", "tanh", "softmax"}));
    builder.UseBias(pick(0, 3) > 0);
    builder.ActivityRegularizer({"L2", {{"l2", 0.5}}});
    if (pick(0, 1) == 1) builder.Same();
    if (is_planar) builder.ChannelsFirst();
    stack.layers.push_back(builder.Build());
  }
  std::vector<int64_t> dims = {pick(1, 2)};
  for (size_t axis = 0; axis < rank; ++axis) dims.push_back(pick(1, 5));
  dims.insert(is_planar ? dims.begin() + 1 : dims.end(), stack.in_channels);
  stack.input = Shape::Make(dims).value();
  stack.input_dtype = pick(0, 3) == 0 ? DType::kFloat64 : DType::kFloat32;
  return stack;
}

// Makes the layers "0", "1", ... and the chain "chain" of them.
void Create(ChainHost& host, const Stack& stack) {
  ChainDraft draft{.name = "chain", .steps = {}};
  int64_t channels = stack.in_channels;
  for (size_t i = 0; i < stack.layers.size(); ++i) {
    const std::string name = std::to_string(i);
    host.CreateLayer(name, stack.layers[i], channels, i);
    draft.steps.emplace_back(name);
    channels = stack.layers[i].filters;
  }
  ASSERT_THAT(host->CreateChain(draft), IsOk());
}

std::vector<double> ValuesOf(const std::vector<Loss>& losses) {
  std::vector<double> values;
  for (const Loss& loss : losses) values.push_back(loss.value);
  return values;
}

class StackTest : public ::testing::TestWithParam<uint64_t> {};

TEST_P(StackTest, GivesTheBitsOfSeparateCallsWholeAndStreamed) {
  const Stack stack = RandomStack(GetParam());
  for (const int64_t slab_bytes : {kSlabBytes, int64_t{1}}) {
    ChainHost host({.slab_bytes = slab_bytes});
    Create(host, stack);
    const Tensor input = RandomTensor(stack.input, stack.input_dtype, GetParam());
    ForwardResult separate;
    separate.output = input.view();
    std::vector<double> losses;
    for (size_t i = 0; i < stack.layers.size(); ++i) {
      separate = host.Forward(std::to_string(i), separate.output, true).value();
      for (const double loss : ValuesOf(separate.losses)) losses.push_back(loss);
    }
    const StatusOr<ForwardResult> chained = host.Forward("chain", input.view(), true);
    ASSERT_THAT(chained, IsOk());
    EXPECT_TRUE(HaveEqualBits(chained->output, separate.output));
    EXPECT_EQ(ValuesOf(chained->losses), losses);
    EXPECT_EQ(chained->weights_version, static_cast<int64_t>(stack.layers.size()));

    const auto session =
        host->StreamForward({"chain", input.dtype(), input.shape(), /*compute_losses=*/true});
    ASSERT_THAT(session, IsOk());
    const testing::Streamed streamed = testing::PassThrough(**session, input, 100);
    EXPECT_TRUE(HaveEqualBits(streamed.output.view(), chained->output));
    EXPECT_EQ(ValuesOf(streamed.losses), losses);
    EXPECT_THAT(host->ComputeOutputShape("chain", stack.input.dims()),
                IsOkAndHolds(::testing::ElementsAreArray(chained->output.shape.dims())));
  }
}

INSTANTIATE_TEST_SUITE_P(, StackTest, ::testing::Range(uint64_t{0}, uint64_t{60}));

// ---- Functions of their own.

class ChainFunctionTest : public ::testing::Test {
 protected:
  static LayerConfigBuilder Layer(const std::string& dtype) {
    return LayerConfigBuilder().Filters(6).KernelSize({3, 3}).Strides({2, 2}).Same().DType(dtype);
  }
  ChainDraft::Step Step(const std::string& layer) { return layer; }

  ForwardResult Forward(const std::string& name) {
    return host_.Forward(name, input_.view()).value();
  }

  ChainHost host_;
  const Tensor input_ = RandomTensor(Shape({2, 4, 3, 5}), DType::kFloat32, 7);
};

TEST_F(ChainFunctionTest, BehindALinearLayerIsAsTheActivationOfTheLayer) {
  for (const char* dtype : {"float32", "float64"}) {
    for (const char* name : {"relu", "tanh", "softmax", "silu"}) {
      const std::string id = std::string(dtype) + name;
      host_.CreateLayer(id + "linear", Layer(dtype).Build(), 5);
      host_.CreateLayer(id + "active", Layer(dtype).Activation(name).Build(), 5);
      ASSERT_THAT(host_->CreateChain({id, {Step(id + "linear"), Function({name, {}})}}), IsOk());
      EXPECT_TRUE(HaveEqualBits(Forward(id).output, Forward(id + "active").output)) << id;
    }
  }
}

// What a layer gives in 16 bits is rounded before the function sees it, as in Keras.
TEST_F(ChainFunctionTest, BehindANarrowLayerWorksOnWhatWasRounded) {
  for (const char* dtype : {"float16", "mixed_bfloat16"}) {
    for (const char* name : {"tanh", "softmax"}) {
      const std::string id = std::string(dtype) + name;
      host_.CreateLayer(id + "linear", Layer(dtype).Build(), 5);
      ASSERT_THAT(host_->CreateChain({id, {Step(id + "linear"), Function({name, {}})}}), IsOk());
      const ForwardResult linear = Forward(id + "linear");
      Tensor wide = Tensor::Converted(linear.output, DType::kFloat32).value();
      const Activation function = Function({name, {}});
      Tensor expected = Tensor::Allocate(DType::kFloat32, wide.shape()).value();
      ASSERT_THAT(ActivateTensor(host_.pool(), function, DataFormat::kChannelsLast, wide.view(),
                                 expected.mutable_view()),
                  IsOk());
      EXPECT_TRUE(HaveEqualBits(Forward(id).output,
                                Tensor::Converted(expected.view(), linear.output.dtype)->view()))
          << id;
    }
  }
}

TEST_F(ChainFunctionTest, SeveralAreDoneOneAfterTheOther) {
  host_.CreateLayer("a", Layer("float32").Activation("relu").Build(), 5);
  host_.CreateLayer("b", Layer("float32").Build(), 3);
  ASSERT_THAT(host_->CreateChain({"chain",
                                  {Step("a"), Function({"tanh", {}}), Function({"linear", {}}),
                                   Function({"glu", {}}), Step("b"), Function({"softmax", {}}),
                                   Function({"relu", {}})}}),
              IsOk());
  Tensor expected = Tensor::Converted(Forward("a").output, DType::kFloat32).value();
  const auto pass = [&](const char* name) {
    const Activation function = Function({name, {}});
    Tensor output =
        Tensor::Allocate(DType::kFloat32, *function.OutputShape(expected.shape())).value();
    ASSERT_THAT(ActivateTensor(host_.pool(), function, DataFormat::kChannelsLast, expected.view(),
                               output.mutable_view()),
                IsOk());
    expected = std::move(output);
  };
  pass("tanh");
  pass("glu");
  expected =
      Tensor::Converted(host_.Forward("b", expected.view())->output, DType::kFloat32).value();
  pass("softmax");
  pass("relu");
  EXPECT_TRUE(HaveEqualBits(Forward("chain").output, expected.view()));
  const auto session = host_->StreamForward({"chain", DType::kFloat32, input_.shape()});
  ASSERT_THAT(session, IsOk());
  EXPECT_TRUE(
      HaveEqualBits(testing::PassThrough(**session, input_, 64).output.view(), expected.view()));
  EXPECT_THAT(host_->ComputeOutputShape("chain", std::vector<int64_t>{-1, 4, 3, 5}),
              IsOkAndHolds(ElementsAre(-1, 16, 12, 6)));
}

TEST_F(ChainFunctionTest, ThatNeedTheWholeOutputAreNotStreamedInSlabs) {
  ChainHost thin({.slab_bytes = 1});
  thin.CreateLayer("a", Layer("float16").Build(), 5);
  ASSERT_THAT(thin->CreateChain({"chain", {Step("a"), Function({"softmax", {{"axis", 1.0}}})}}),
              IsOk());
  EXPECT_THAT(thin->StreamForward({"chain", DType::kFloat32, input_.shape()}),
              StatusIs(StatusCode::kUnimplemented, HasSubstr("call Forward")));
  EXPECT_THAT(thin.Forward("chain", input_.view()), IsOk());
}

TEST_F(ChainFunctionTest, OutputsGoIntoTheRoomOfTheCaller) {
  host_.CreateLayer("a", Layer("float32").Build(), 5);
  host_.CreateLayer("b", Layer("float16").Build(), 6);
  ASSERT_THAT(host_->CreateChain({"layer last", {Step("a"), Step("b")}}), IsOk());
  ASSERT_THAT(host_->CreateChain({"function last", {Step("a"), Step("b"), Function({"relu", {}})}}),
              IsOk());
  for (const char* name : {"layer last", "function last"}) {
    const ForwardResult expected = Forward(name);
    const auto room = std::make_shared<Tensor>(
        Tensor::Allocate(expected.output.dtype, expected.output.shape).value());
    ViewSource source(input_.view());
    ForwardJob job(name, source, false);
    job.room = OutputRoom{room->mutable_view().data, room->size_bytes(), room};
    host_->Forward(job);
    ASSERT_THAT(job.result, IsOk());
    EXPECT_EQ(job.result->output.data, room->view().data);
    EXPECT_TRUE(HaveEqualBits(room->view(), expected.output)) << name;
    ForwardJob small(name, source, false);
    small.room = OutputRoom{room->mutable_view().data, room->size_bytes() - 1, room};
    host_->Forward(small);
    EXPECT_THAT(small.result,
                StatusIs(StatusCode::kInvalidArgument, HasSubstr("output.size_bytes")));
  }
}

// ---- Limits and rules.

class ChainsTest : public ::testing::Test {
 protected:
  static LayerConfig Doubling() { return LayerConfigBuilder().Strides({2, 2}).Build(); }

  void CreatePair(ChainHost& host) {
    host.CreateLayer("a", Doubling(), 1);
    host.CreateLayer("b", Doubling(), 1);
    ASSERT_THAT(host->CreateChain({"chain", {ChainDraft::Step("a"), ChainDraft::Step("b")}}),
                IsOk());
  }

  const Tensor input_ = RandomTensor(Shape({1, 8, 8, 1}), DType::kFloat32, 7);
};

TEST_F(ChainsTest, WhatIsOnTheWayIsBoundedAsOutputsAre) {
  ChainHost host({.max_output_bytes = 16 * 16 * 4});
  CreatePair(host);
  host.CreateLayer("shrink", LayerConfigBuilder().KernelSize({16, 16}).Same().Build(), 1);
  EXPECT_THAT(host.Forward("a", input_.view()), IsOk());
  EXPECT_THAT(host.Forward("chain", input_.view()),
              StatusIs(StatusCode::kResourceExhausted, HasSubstr("step 1: output [1, 32, 32, 1]")));
  ChainHost smaller({.max_output_bytes = 16 * 16 * 4 - 1});
  CreatePair(smaller);
  EXPECT_THAT(smaller.Forward("chain", input_.view()),
              StatusIs(StatusCode::kResourceExhausted, HasSubstr("output [1, 16, 16, 1]")));
}

TEST_F(ChainsTest, StreamsAreBoundedByAllTheirLayersTogether) {
  ChainHost host({.max_stream_bytes = 5'000});
  CreatePair(host);
  EXPECT_THAT(host->StreamForward({"a", DType::kFloat32, input_.shape()}), IsOk());
  EXPECT_THAT(host->StreamForward({"chain", DType::kFloat32, input_.shape()}),
              StatusIs(StatusCode::kResourceExhausted));
}

TEST_F(ChainsTest, TheVersionIsTheSumOfItsLayersEachCountedOnce) {
  ChainHost host;
  host.CreateLayer("a", LayerConfigBuilder().Build(), 1);
  host.CreateLayer("b", LayerConfigBuilder().Build(), 1);
  const ChainDraft draft{"chain",
                         {ChainDraft::Step("a"), ChainDraft::Step("b"), ChainDraft::Step("a")}};
  EXPECT_EQ(host->CreateChain(draft)->weights_version, 2);
  EXPECT_EQ(host.Forward("chain", input_.view())->weights_version, 2);
  EXPECT_THAT(
      host.Forward("chain", input_.view(), false, 3),
      StatusIs(StatusCode::kUnavailable, HasSubstr("chain \"chain\" is served at version 2")));
  const auto weights = host->GetWeights("a").value();
  ViewSource kernel(weights->kernel.view());
  ViewSource bias(weights->bias->view());
  ASSERT_THAT(host->SetWeights("a", WeightsSource{&kernel, &bias}, std::nullopt), IsOk());
  EXPECT_EQ(host.Forward("chain", input_.view(), false, 3)->weights_version, 3);
  EXPECT_EQ(host->GetChain("chain")->weights_version, 3);
}

TEST_F(ChainsTest, JobsTogetherHaveTheBitsOfEachAlone) {
  ChainHost host;
  CreatePair(host);
  std::vector<Tensor> inputs;
  std::deque<ViewSource> sources;
  std::deque<ForwardJob> jobs;
  std::vector<ForwardJob*> list;
  for (uint64_t i = 0; i < 5; ++i) {
    inputs.push_back(RandomTensor(Shape({1, 3, 5, 1}), DType::kFloat32, i));
  }
  const Tensor wrong = RandomTensor(Shape({1, 3, 5, 2}), DType::kFloat32, 9);
  for (const Tensor& input : inputs) sources.emplace_back(input.view());
  sources.emplace_back(wrong.view());
  for (ViewSource& source : sources) list.push_back(&jobs.emplace_back("chain", source, false));
  host->ForwardTogether(list);
  EXPECT_THAT(jobs.back().result, StatusIs(StatusCode::kInvalidArgument));
  for (size_t i = 0; i < inputs.size(); ++i) {
    ASSERT_THAT(jobs[i].result, IsOk());
    EXPECT_TRUE(
        HaveEqualBits(jobs[i].result->output, host.Forward("chain", inputs[i].view())->output));
  }
}

TEST_F(ChainsTest, WhoUsesAChainHasToBeAllowedItsLayers) {
  ChainHost host;
  CreatePair(host);
  const auto rules = [](const std::vector<std::string>& prefixes) {
    return std::make_shared<const TokenRules>(
        TokenRules{.name = "token", .prefixes = prefixes, .tenant = ""});
  };
  for (const auto& [prefixes, code] : std::vector<std::pair<std::vector<std::string>, StatusCode>>{
           {{"chain", "a", "b"}, StatusCode::kOk},
           {{"chain", "a"}, StatusCode::kPermissionDenied}}) {
    const Caller caller(rules(prefixes), nullptr);
    ViewSource source(input_.view());
    ForwardJob job("chain", source, false);
    job.caller = &caller;
    host->Forward(job);
    EXPECT_EQ(job.result.status().code(), code);
    StreamedForward stream{"chain", DType::kFloat32, input_.shape()};
    stream.caller = &caller;
    EXPECT_EQ(host->StreamForward(stream).status().code(), code);
  }
}

TEST_F(ChainsTest, StepsThatDoNotFitAreRefusedByName) {
  ChainHost host;
  host.CreateLayer("two", LayerConfigBuilder().Filters(2).Build(), 1);
  host.CreateLayer("from three", LayerConfigBuilder().Build(), 3);
  host.CreateLayer("planar", LayerConfigBuilder().ChannelsFirst().Build(), 2);
  host.CreateLayer("line", LayerConfigBuilder().KernelSize({1}).Build(), 2);
  host.CreateLayer("odd", LayerConfigBuilder().Filters(3).Build(), 1);
  ASSERT_THAT(host->Create({"unbuilt", LayerConfigBuilder().Build(), {}, {}}), IsOk());
  using Step = ChainDraft::Step;
  const Step two("two");
  struct Case {
    ChainDraft draft;
    StatusCode code;
    const char* message;
  };
  const auto invalid = StatusCode::kInvalidArgument;
  const Case kCases[] = {
      {{"", {two}}, invalid, "name: expected a name"},
      {{"a/b", {two}}, invalid, "name: expected a name without \"/\""},
      {{"chain", {}}, invalid, "steps: expected 1 to 256, got 0"},
      {{"chain", std::vector<Step>(257, two)}, invalid, "steps: expected 1 to 256, got 257"},
      {{"chain", {Function({"relu", {}}), two}}, invalid, "steps[0]: expected a layer first"},
      {{"chain", {two, Step("nobody")}}, StatusCode::kNotFound, "\"nobody\""},
      {{"chain", {Step("unbuilt")}}, StatusCode::kFailedPrecondition, "\"unbuilt\""},
      {{"chain", {two, Step("from three")}},
       invalid,
       "steps[1].layer: expected a layer for 2 channels, as step 0 gives them, got 3"},
      {{"chain", {two, Function({"glu", {}}), Step("planar")}},
       invalid,
       "steps[2].layer: expected channels_last"},
      {{"chain", {two, Step("line")}}, invalid, "steps[1].layer: expected 2 spatial axes"},
      {{"chain", {two, Function({"softmax", {{"axis", 4.0}}})}},
       invalid,
       "steps[1].activation.arguments.axis"},
      {{"chain", {Step("odd"), Function({"glu", {}})}}, invalid, "steps[0]: a function"},
      {{"two", {two}}, StatusCode::kAlreadyExists, "\"two\""},
  };
  for (const Case& c : kCases) {
    EXPECT_THAT(host->CreateChain(c.draft), StatusIs(c.code, HasSubstr(c.message))) << c.message;
  }
  EXPECT_THAT(host->ListChains("", 10, [](const auto&) { return true; }).chains, SizeIs(0));
}

TEST_F(ChainsTest, AChainIsNoLayerAndKeepsItsLayers) {
  ChainHost host;
  CreatePair(host);
  const auto not_found = StatusIs(StatusCode::kNotFound, HasSubstr("\"chain\""));
  EXPECT_THAT(host->Get("chain"), not_found);
  EXPECT_THAT(host->GetWeights("chain"), not_found);
  EXPECT_THAT(host->Delete("chain"), not_found);
  EXPECT_THAT(host->GetChain("a"), StatusIs(StatusCode::kNotFound, HasSubstr("no chain \"a\"")));
  EXPECT_THAT(host->DeleteChain("a"), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(host->Delete("a"),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("chain \"chain\"")));
  EXPECT_THAT(host.Forward("chain", input_.view()), IsOk());
  EXPECT_EQ(host->facts().chains, 1);
  EXPECT_EQ(host->facts().layers, 2);
  EXPECT_THAT(host->health().LayerStatus("chain"), IsOk());
  ASSERT_THAT(host->DeleteChain("chain"), IsOk());
  EXPECT_THAT(host.Forward("chain", input_.view()), not_found);
  EXPECT_THAT(host->Delete("a"), IsOk());
}

TEST_F(ChainsTest, CountAgainstTheLimitOfNames) {
  ChainHost host({.max_layers = 2});
  host.CreateLayer("a", Doubling(), 1);
  ASSERT_THAT(host->CreateChain({"chain", {ChainDraft::Step("a")}}), IsOk());
  EXPECT_THAT(host->CreateChain({"other", {ChainDraft::Step("a")}}),
              StatusIs(StatusCode::kResourceExhausted, HasSubstr("limit of 2 layers and chains")));
}

TEST_F(ChainsTest, AreListedByPages) {
  ChainHost host;
  host.CreateLayer("a", Doubling(), 1);
  for (const char* name : {"y", "x", "z"}) {
    ASSERT_THAT(host->CreateChain({name, {ChainDraft::Step("a")}}), IsOk());
  }
  const auto all = [](const std::string&) { return true; };
  const ChainPage first = host->ListChains("", 2, all);
  ASSERT_THAT(first.chains, SizeIs(2));
  EXPECT_EQ(first.chains[0].name, "x");
  EXPECT_EQ(first.next, "y");
  const ChainPage second = host->ListChains(first.next, 2, all);
  ASSERT_THAT(second.chains, SizeIs(1));
  EXPECT_EQ(second.next, "");
  EXPECT_THAT(host->ListChains("", 9, [](const std::string& name) { return name == "y"; }).chains,
              SizeIs(1));
}

TEST_F(ChainsTest, AreModelsOfTheInferenceProtocol) {
  ChainHost host;
  CreatePair(host);
  const StatusOr<ModelInfo> model = host->DescribeModel("chain");
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ(model->version, 2);
  EXPECT_THAT(model->input_shape, ElementsAre(-1, -1, -1, 1));
  EXPECT_THAT(model->output_shape, ElementsAre(-1, -1, -1, 1));
  EXPECT_THAT(model->state, IsOk());
  EXPECT_THAT(host->ListModels([](const std::string&) { return true; }), SizeIs(3));

  ViewSource source(input_.view());
  ForwardJob job("chain", source, false);
  job.exact_version = 7;
  host->Forward(job);
  EXPECT_THAT(job.result,
              StatusIs(StatusCode::kNotFound, HasSubstr("version 2, version 7 is not")));
  EXPECT_EQ(job.facts.layer_id, model->id);
}

TEST_F(ChainsTest, AreUnloadedAndLoadedWithTheirLayers) {
  ChainHost host;
  CreatePair(host);
  EXPECT_THAT(host->UnloadModel("chain"),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("unload_dependents")));
  EXPECT_THAT(host.Forward("chain", input_.view()), IsOk());

  ASSERT_THAT(host->UnloadModel("b"), IsOk());
  EXPECT_THAT(host.Forward("chain", input_.view()), StatusIs(StatusCode::kUnavailable));
  EXPECT_THAT(host->DescribeModel("chain")->state, StatusIs(StatusCode::kUnavailable));
  ASSERT_THAT(host->LoadModel("chain"), IsOk());
  EXPECT_THAT(host.Forward("chain", input_.view()), IsOk());

  ASSERT_THAT(host->UnloadModel("chain", /*with_layers=*/true), IsOk());
  for (const char* name : {"a", "b", "chain"}) {
    EXPECT_THAT(host->DescribeModel(name)->state, StatusIs(StatusCode::kUnavailable)) << name;
  }
}

}  // namespace
}  // namespace tconv::server
