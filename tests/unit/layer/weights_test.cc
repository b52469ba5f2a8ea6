#include "server/layer/weights.h"

#include <gmock/gmock.h>

#include <optional>
#include <vector>

#include "tests/support/layer_config_builder.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/layer/tensor_views.h"

namespace tconv::server {
namespace {

using ::tconv::testing::IsOk;
using ::tconv::testing::IsOkAndHolds;
using ::tconv::testing::LayerConfigBuilder;
using ::tconv::testing::StatusIs;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A kernel of [2, 3, filters 4, channels 5].
LayerConfigBuilder SmallLayer() { return LayerConfigBuilder().Filters(4).KernelSize({2, 3}); }

TEST(WeightsTest, PutsFiltersBeforeChannels) {
  for (const DataFormat format : {DataFormat::kChannelsLast, DataFormat::kChannelsFirst}) {
    const LayerConfig config = SmallLayer().DataFormat(format).Build();
    EXPECT_THAT(KernelShape(config, 5), IsOkAndHolds(Shape({2, 3, 4, 5})));
    EXPECT_EQ(BiasShape(config), Shape({4}));
  }
}

TEST(WeightsTest, CountsParameters) {
  EXPECT_EQ(ParameterCount(SmallLayer().Build(), 5), 124);
  EXPECT_EQ(ParameterCount(SmallLayer().UseBias(false).Build(), 5), 120);
}

TEST(WeightsTest, RefusesAKernelTooLargeToAddress) {
  const LayerConfig config = LayerConfigBuilder().Filters(kMaxExtent).KernelSize({1 << 30}).Build();
  EXPECT_THAT(KernelShape(config, kMaxExtent),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("kernel: too many elements")));
}

TEST(WeightsTest, AreInitializedInTheVariableType) {
  const LayerConfig config = SmallLayer()
                                 .DType("mixed_float16")
                                 .KernelInitializer({"constant", {{"value", 0.5}}})
                                 .BiasInitializer({"ones", {}})
                                 .Build();
  const Weights weights = *InitializeWeights(config, 5);
  EXPECT_EQ(weights.version, 1);
  EXPECT_EQ(weights.in_channels(), 5);
  EXPECT_EQ(weights.kernel.shape(), Shape({2, 3, 4, 5}));
  EXPECT_EQ(weights.size_bytes(), 124 * 4);
  EXPECT_THAT(weights.kernel.view().values<float>(), Each(0.5));
  EXPECT_THAT(weights.bias->view().values<float>(), Each(1));
}

TEST(WeightsTest, HaveNoBiasWithoutUseBias) {
  EXPECT_FALSE(InitializeWeights(SmallLayer().UseBias(false).Build(), 5)->bias.has_value());
}

TEST(WeightsTest, NameTheInitializerThatCannotFillThem) {
  const LayerConfig config = SmallLayer().BiasInitializer({"orthogonal", {}}).Build();
  EXPECT_THAT(InitializeWeights(config, 5),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("bias_initializer.name: ")));
}

TEST(WeightsTest, AreCopiedIntoTheVariableType) {
  const LayerConfig config =
      LayerConfigBuilder().Filters(1).KernelSize({2}).DType("float64").Build();
  std::vector<float> kernel = {1, -2};
  std::vector<double> bias = {0.1};
  ViewSource kernel_source(AsTensor({2, 1, 1}, kernel));
  ViewSource bias_source(AsTensor({1}, bias));
  const Weights weights = *MakeWeights(config, 1, {&kernel_source, &bias_source}, 7);
  EXPECT_EQ(weights.version, 7);
  EXPECT_THAT(weights.kernel.view().values<double>(), ElementsAre(1, -2));
  EXPECT_THAT(weights.bias->view().values<double>(), ElementsAre(0.1));
}

TEST(WeightsTest, RefuseTensorsThatAreNotExactlyTheLayers) {
  const LayerConfig with_bias = SmallLayer().Build();
  const LayerConfig without_bias = SmallLayer().UseBias(false).Build();
  struct Case {
    const LayerConfig& config;
    Shape kernel;
    std::optional<Shape> bias;
    const char* message;
  } const kCases[] = {
      {with_bias, {2, 3, 5, 4}, Shape{4}, "kernel.shape: expected [2, 3, 4, 5], got [2, 3, 5, 4]"},
      {with_bias, {2, 3, 4, 5}, Shape{4, 1}, "bias.shape: expected [4], got [4, 1]"},
      {with_bias, {2, 3, 4, 5}, std::nullopt, "bias: expected [4], got nothing"},
      {without_bias, {2, 3, 4, 5}, Shape{4}, "bias: expected nothing for a layer without bias"},
  };
  std::vector<float> values(120);
  for (const Case& c : kCases) {
    ViewSource kernel(AsTensor(c.kernel, values));
    ViewSource bias(AsTensor(c.bias.value_or(Shape{0}), values));
    EXPECT_THAT(MakeWeights(c.config, 5, {&kernel, c.bias.has_value() ? &bias : nullptr}, 1),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr(c.message)));
  }
}

}  // namespace
}  // namespace tconv::server
