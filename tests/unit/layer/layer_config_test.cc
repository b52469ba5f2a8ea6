#include "server/layer/layer_config.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "tests/support/layer_config_builder.h"
#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::tconv::testing::IsOk;
using ::tconv::testing::IsOkAndHolds;
using ::tconv::testing::LayerConfigBuilder;
using ::tconv::testing::StatusIs;
using ::testing::HasSubstr;

LayerConfigBuilder Valid() { return LayerConfigBuilder().Filters(4).KernelSize({3, 3}); }

TEST(LayerConfigTest, HasTheDefaultsOfKeras) {
  const LayerConfig config;
  EXPECT_EQ(config.dtype.name, "float32");
  EXPECT_EQ(config.padding, Padding::kValid);
  EXPECT_EQ(config.data_format, DataFormat::kChannelsLast);
  EXPECT_FALSE(config.output_padding.has_value());
  EXPECT_TRUE(config.trainable);
  EXPECT_TRUE(config.use_bias);
  EXPECT_TRUE(config.activation.is_linear());
  EXPECT_EQ(config.kernel_initializer.spec().name, "GlorotUniform");
  EXPECT_EQ(config.bias_initializer.spec().name, "Zeros");
}

TEST(LayerConfigTest, AcceptsWhatKerasAccepts) {
  const LayerConfig kCases[] = {
      Valid().Build(),
      Valid().Name("").Build(),
      Valid().Strides({2, 3}).Same().OutputPadding(SpatialDims{0, 2}).Build(),
      Valid().DilationRate({2, 3}).Build(),
      Valid().KernelSize({1}).Strides({5}).Build(),
      Valid().KernelSize({1, 2, 3}).KernelInitializer({"orthogonal", {}}).Build(),
      Valid().KernelConstraint({"MaxNorm", {{"axis", std::vector<double>{0, 1, 3}}}}).Build(),
      Valid().UseBias(false).BiasRegularizer({"l2", {}}).Build(),
      Valid().Activation({"softmax", {{"axis", 1.0}}}).Build(),
      Valid().Filters(3).ChannelsFirst().Activation("glu").Build(),
  };
  for (const LayerConfig& config : kCases) EXPECT_THAT(Validate(config), IsOk());
}

TEST(LayerConfigTest, RefusesWhatKerasRefusesAndNamesTheField) {
  const auto constraint = [](double axis) { return ObjectSpec{"UnitNorm", {{"axis", axis}}}; };
  struct Case {
    LayerConfig config;
    const char* message;
  } const kCases[] = {
      {Valid().Name("a/b").Build(), "name: expected a name without \"/\", got \"a/b\""},
      {Valid().KernelSize({}).Build(), "class_name: expected 1 to 3 spatial axes, got 0"},
      {Valid().KernelSize({1, 1, 1, 1}).Build(), "class_name: expected 1 to 3 spatial axes, got 4"},
      {Valid().KernelSize({3, 0}).Build(), "kernel_size[1]: expected > 0, got 0"},
      {Valid().KernelSize({kMaxExtent + 1, 1}).Build(), "kernel_size[0]: expected <= 2147483647"},
      {Valid().Strides({2}).Build(),
       "strides: expected 2 values, one for each spatial axis, got 1: [2]"},
      {Valid().Strides({-1, 1}).Build(), "strides[0]: expected > 0, got -1"},
      {Valid().DilationRate({1, 0}).Build(), "dilation_rate[1]: expected > 0, got 0"},
      {Valid().OutputPadding(SpatialDims{0}).Build(), "output_padding: expected 2 values"},
      {Valid().OutputPadding(SpatialDims{0, -1}).Build(),
       "output_padding[1]: expected >= 0, got -1"},
      {Valid().Filters(0).Build(), "filters: expected > 0, got 0"},
      {Valid().Filters(kMaxExtent + 1).Build(), "filters: expected <= 2147483647"},
      {Valid().Strides({2, 3}).OutputPadding(SpatialDims{1, 3}).Build(),
       "output_padding[1]: expected less than strides[1] (3), got 3"},
      {Valid().Strides({2, 1}).DilationRate({1, 2}).Build(),
       "dilation_rate: expected all 1 because of strides [2, 1], got [1, 2]"},
      {Valid().KernelSize({kMaxExtent, kMaxExtent}).Build(),
       "kernel_size: the kernel has too many"},
      {Valid().KernelInitializer({"identity", {}}).Build(), "kernel_initializer.name: "},
      {Valid().BiasInitializer({"orthogonal", {}}).Build(), "bias_initializer.name: "},
      {Valid().KernelConstraint(constraint(4)).Build(), "kernel_constraint.arguments.axis: "},
      {Valid().BiasConstraint(constraint(1)).Build(), "bias_constraint.arguments.axis: "},
      {Valid().Filters(3).Activation("glu").Build(), "activation.name: expected an even extent"},
      {Valid().Activation({"softmax", {{"axis", 4.0}}}).Build(), "activation.arguments.axis: "},
  };
  for (const Case& c : kCases) {
    const Status status = Validate(c.config);
    EXPECT_THAT(status, StatusIs(StatusCode::kInvalidArgument, HasSubstr(c.message)));
    EXPECT_EQ(std::string(status.message()).find(FieldOf(status) + ": "), 0u);
  }
}

TEST(LayerConfigTest, ChecksOutputPaddingBeforeDilation) {
  const LayerConfig config =
      Valid().Strides({2, 2}).DilationRate({2, 2}).OutputPadding(SpatialDims{2, 0}).Build();
  EXPECT_EQ(FieldOf(Validate(config)), "output_padding[0]");
}

TEST(LayerConfigTest, IgnoresObjectsOfABiasThatIsNotThere) {
  const LayerConfig config = Valid().UseBias(false).BiasInitializer({"orthogonal", {}}).Build();
  EXPECT_THAT(Validate(config), IsOk());
}

TEST(LayerConfigTest, NamesTheClasses) {
  EXPECT_EQ(ClassName(3), "Conv3DTranspose");
  EXPECT_EQ(SnakeCaseClassName(1), "conv1d_transpose");
  EXPECT_THAT(SpatialRank("Conv2DTranspose"), IsOkAndHolds(2));
  EXPECT_THAT(SpatialRank("Convolution3DTranspose"), IsOkAndHolds(3));
  for (const char* name : {"Conv4DTranspose", "Conv0DTranspose", "Conv2D", "conv2dtranspose", ""}) {
    EXPECT_THAT(SpatialRank(name), StatusIs(StatusCode::kInvalidArgument,
                                            HasSubstr("class_name: expected Conv1DTranspose")));
  }
}

TEST(DTypePolicyTest, KnowsThePoliciesOfKeras) {
  struct Case {
    const char* name;
    DType variable;
    DType compute;
  } const kCases[] = {
      {"float32", DType::kFloat32, DType::kFloat32},
      {"float64", DType::kFloat64, DType::kFloat64},
      {"float16", DType::kFloat16, DType::kFloat16},
      {"bfloat16", DType::kBFloat16, DType::kBFloat16},
      {"mixed_float16", DType::kFloat32, DType::kFloat16},
      {"mixed_bfloat16", DType::kFloat32, DType::kBFloat16},
  };
  for (const Case& c : kCases) {
    EXPECT_THAT(ParseDTypePolicy(c.name), IsOkAndHolds(DTypePolicy{c.name, c.variable, c.compute}));
  }
  for (const char* name : {"float33", "half", "double", "Float32", "mixed_float32", "int8", ""}) {
    EXPECT_THAT(ParseDTypePolicy(name),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr("dtype: expected float32, ")));
  }
}

}  // namespace
}  // namespace tconv::server
