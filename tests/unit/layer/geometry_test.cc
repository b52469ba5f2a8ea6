#include "server/layer/geometry.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <optional>
#include <unordered_set>
#include <vector>

#include "tests/support/layer_config_builder.h"
#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::tconv::testing::IsOk;
using ::tconv::testing::IsOkAndHolds;
using ::tconv::testing::LayerConfigBuilder;
using ::tconv::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

AxisGeometry OneAxis(Padding padding, int64_t kernel, int64_t stride, int64_t dilation,
                     std::optional<int64_t> output_padding, int64_t in) {
  LayerConfigBuilder builder;
  builder.KernelSize({kernel}).Strides({stride}).DilationRate({dilation}).Padding(padding);
  if (output_padding.has_value()) builder.OutputPadding(SpatialDims{*output_padding});
  const LayerConfig config = builder.Build();
  EXPECT_THAT(Validate(config), IsOk());
  return MakeAxisGeometry(config, 0, in);
}

TEST(GeometryTest, GivesTheLengthsAndCropsOfKeras) {
  constexpr std::nullopt_t kNone = std::nullopt;
  struct Case {
    Padding padding;
    int64_t kernel, stride, dilation;
    std::optional<int64_t> output_padding;
    int64_t in, out, crop_begin, crop_end;
  } const kCases[] = {
      {Padding::kValid, 3, 2, 1, kNone, 4, 9, 0, 0},
      {Padding::kValid, 2, 3, 1, kNone, 3, 9, 0, -1},  // ends in a gap
      {Padding::kValid, 3, 2, 1, 0, 4, 9, 0, 0},
      {Padding::kValid, 3, 2, 1, 1, 4, 10, 0, -1},
      {Padding::kValid, 3, 1, 2, kNone, 5, 9, 0, 0},
      {Padding::kSame, 3, 2, 1, kNone, 5, 10, 0, 1},
      {Padding::kSame, 4, 2, 1, kNone, 5, 10, 1, 1},
      {Padding::kSame, 5, 2, 1, kNone, 5, 10, 1, 2},
      {Padding::kSame, 2, 3, 1, kNone, 3, 9, 0, -1},
      {Padding::kSame, 3, 1, 2, kNone, 6, 6, 2, 2},
      // An output padding selects another alignment, 0 included.
      {Padding::kSame, 3, 2, 1, 1, 5, 10, 0, 1},
      {Padding::kSame, 3, 2, 1, 0, 5, 9, 1, 1},
      {Padding::kSame, 4, 2, 1, 1, 5, 9, 1, 2},
      {Padding::kSame, 4, 2, 1, 0, 5, 8, 2, 2},
      {Padding::kSame, 4, 2, 1, 0, 1, 0, 2, 2},  // empty
  };
  for (const Case& c : kCases) {
    const AxisGeometry axis =
        OneAxis(c.padding, c.kernel, c.stride, c.dilation, c.output_padding, c.in);
    EXPECT_THAT((std::vector{axis.out, axis.crop_begin, axis.crop_end()}),
                ElementsAre(c.out, c.crop_begin, c.crop_end))
        << "kernel " << c.kernel << ", stride " << c.stride << ", output padding "
        << c.output_padding.value_or(-1);
  }
}

struct AxisCase {
  Padding padding;
  int64_t kernel;
  int64_t stride;
  int64_t dilation;
  std::optional<int64_t> output_padding;
  int64_t in;
};

// Every valid combination of small numbers.
std::vector<AxisCase> SmallAxes() {
  std::vector<AxisCase> cases;
  const auto add = [&](int64_t kernel, int64_t stride, int64_t dilation, int64_t in) {
    for (const Padding padding : {Padding::kValid, Padding::kSame}) {
      cases.push_back({padding, kernel, stride, dilation, std::nullopt, in});
      for (int64_t output_padding = 0; output_padding < stride; ++output_padding) {
        cases.push_back({padding, kernel, stride, dilation, output_padding, in});
      }
    }
  };
  for (int64_t in = 1; in <= 6; ++in) {
    for (int64_t kernel = 1; kernel <= 6; ++kernel) {
      for (int64_t stride = 1; stride <= 4; ++stride) add(kernel, stride, 1, in);
      for (int64_t dilation = 2; dilation <= 3; ++dilation) add(kernel, 1, dilation, in);
    }
  }
  return cases;
}

// The layer is the gradient of a convolution over a signal as long as the
// output: that convolution must give back the input length, and it pads by the
// crop. Left out is the one family that TensorFlow refuses for not doing so,
// "same" with an output padding of 0 and an even effective kernel.
TEST(GeometryTest, TheStrideOfASingleInputEndsWithTheOutput) {
  constexpr int64_t kHuge = kMaxExtent;
  EXPECT_EQ(OneAxis(Padding::kValid, 3, kHuge, 1, 0, 1).stride, 3);
  EXPECT_EQ(OneAxis(Padding::kSame, 5, kHuge, 1, 0, 1).stride, 3);
  EXPECT_EQ(OneAxis(Padding::kSame, 4, kHuge, 1, 0, 1).stride, 2);
  EXPECT_EQ(OneAxis(Padding::kSame, 4, 2, 1, 1, 1).stride, 2);
}

TEST(GeometryTest, InvertsTheForwardConvolution) {
  const auto ceil_div = [](int64_t a, int64_t b) { return (a + b - 1) / b; };
  for (const AxisCase& c : SmallAxes()) {
    const AxisGeometry axis =
        OneAxis(c.padding, c.kernel, c.stride, c.dilation, c.output_padding, c.in);
    const bool is_same = c.padding == Padding::kSame;
    const int64_t effective = (c.kernel - 1) * c.dilation + 1;
    const int64_t full = (c.in - 1) * c.stride + effective;
    if (is_same && c.output_padding == 0 && effective % 2 == 0) continue;
    EXPECT_EQ(ceil_div(is_same ? axis.out : axis.out - effective + 1, c.stride), c.in);
    EXPECT_EQ(axis.crop_begin, is_same ? std::max<int64_t>(full - axis.out, 0) / 2 : 0);
    EXPECT_EQ(axis.crop_begin + axis.out + axis.crop_end(), full);
  }
}

TEST(GeometryTest, KeepsUnknownExtentsUnknown) {
  const LayerConfig last =
      LayerConfigBuilder().Filters(8).KernelSize({3, 3}).Strides({2, 3}).Same().Build();
  EXPECT_THAT(ComputeOutputShape(last, PartialShape{-1, -1, 5, -1}),
              IsOkAndHolds(PartialShape{-1, -1, 15, 8}));
  LayerConfig first = last;
  first.data_format = DataFormat::kChannelsFirst;
  EXPECT_THAT(ComputeOutputShape(first, PartialShape{2, 4, 5, -1}),
              IsOkAndHolds(PartialShape{2, 8, 10, -1}));
}

TEST(GeometryTest, IgnoresGluInTheDeclaredShapeButNotInTheProblem) {
  const LayerConfig config =
      LayerConfigBuilder().Filters(6).KernelSize({1}).Activation("glu").Build();
  EXPECT_THAT(ComputeOutputShape(config, PartialShape{1, 4, 2}),
              IsOkAndHolds(PartialShape{1, 4, 6}));
  const DeconvProblem problem = *MakeDeconvProblem(config, 2, {1, 4, 2});
  EXPECT_EQ(problem.linear_shape(), Shape({1, 4, 6}));
  EXPECT_EQ(problem.dst_shape(), Shape({1, 4, 3}));
}

TEST(GeometryTest, DescribesTheProblemOfAnInput) {
  const LayerConfig config = LayerConfigBuilder()
                                 .Filters(8)
                                 .KernelSize({3, 4})
                                 .Strides({2, 1})
                                 .ChannelsFirst()
                                 .UseBias(false)
                                 .DType("mixed_bfloat16")
                                 .Activation("relu")
                                 .Build();
  const DeconvProblem problem = *MakeDeconvProblem(config, 5, {7, 5, 10, 11});
  EXPECT_EQ(problem.src_shape(), Shape({7, 5, 10, 11}));
  EXPECT_EQ(problem.dst_shape(), Shape({7, 8, 21, 14}));
  EXPECT_EQ(problem.dtype, DType::kBFloat16);
  EXPECT_FALSE(problem.use_bias);
  EXPECT_EQ(problem.activation.spec().name, "relu");
}

TEST(GeometryTest, TakesEmptyBatchesAndEmptyOutputs) {
  const LayerConfig config = LayerConfigBuilder()
                                 .KernelSize({4, 4})
                                 .Strides({2, 2})
                                 .Same()
                                 .OutputPadding(SpatialDims{0, 0})
                                 .Build();
  EXPECT_EQ(MakeDeconvProblem(config, 1, {0, 3, 3, 1})->dst_shape(), Shape({0, 4, 4, 1}));
  EXPECT_EQ(MakeDeconvProblem(config, 1, {2, 1, 1, 1})->dst_shape(), Shape({2, 0, 0, 1}));
}

TEST(GeometryTest, RefusesInputsThatDoNotFitTheLayer) {
  const LayerConfig last = LayerConfigBuilder().KernelSize({3, 3}).Build();
  const LayerConfig first = LayerConfigBuilder().KernelSize({3, 3, 3}).ChannelsFirst().Build();
  const LayerConfig glu =
      LayerConfigBuilder().KernelSize({1, 1}).Filters(2).ChannelsFirst().Activation("glu").Build();
  struct Case {
    const LayerConfig& config;
    Shape input;
    const char* message;
  } const kCases[] = {
      {last,
       {4, 4, 2},
       "input.shape: expected 4 axes [batch, height, width, channels], got 3: [4, 4, 2]"},
      {first,
       {1, 2, 4, 4, 4, 4},
       "input.shape: expected 5 axes [batch, channels, depth, height, width], got 6"},
      {last, {1, 4, 4, 3}, "input.shape: expected 2 channels on axis 3, got 3: [1, 4, 4, 3]"},
      {first, {1, 3, 4, 4, 4}, "input.shape: expected 2 channels on axis 1, got 3"},
      {last, {1, 0, 4, 2}, "input.shape: expected 1 to 2147483647 on axis 1 of"},
      {glu,
       {1, 2, 4, 5},
       "input.shape: the activation glu cannot run over the output [1, 2, 4, 5]"},
  };
  for (const Case& c : kCases) {
    const StatusOr<DeconvProblem> problem = MakeDeconvProblem(c.config, 2, c.input);
    EXPECT_THAT(problem, StatusIs(StatusCode::kInvalidArgument, HasSubstr(c.message)));
    EXPECT_EQ(FieldOf(problem.status()), "input.shape");
  }
}

TEST(GeometryTest, RefusesOutputsTooLargeToAddress) {
  const LayerConfig config = LayerConfigBuilder()
                                 .Filters(kMaxExtent)
                                 .KernelSize({kMaxExtent})
                                 .Strides({kMaxExtent})
                                 .OutputPadding(SpatialDims{kMaxExtent - 1})
                                 .Build();
  const StatusOr<DeconvProblem> problem = MakeDeconvProblem(config, 1, {1, kMaxExtent, 1});
  EXPECT_THAT(problem, StatusIs(StatusCode::kInvalidArgument, HasSubstr("too many elements")));
  EXPECT_THAT(ComputeOutputShape(config, PartialShape{1, kMaxExtent, 1}), IsOk());
}

TEST(GeometryTest, TellsTheChannelsThatBuildALayer) {
  const LayerConfig config = LayerConfigBuilder().KernelSize({3, 3}).Build();
  EXPECT_THAT(InputChannels(config, PartialShape{-1, -1, 4, 3}), IsOkAndHolds(3));
  struct Case {
    PartialShape shape;
    const char* message;
  } const kCases[] = {
      {{-1, 4, 4, -1}, "input_shape: expected 1 to 2147483647 channels on axis 3 of"},
      {{-1, 4, 4, 0}, "input_shape: expected 1 to 2147483647 channels"},
      {{-1, 4, 3}, "input_shape: expected 4 axes [batch, height, width, channels], got 3"},
      {{-1, -2, 4, 3}, "input_shape: expected 1 to 2147483647 on axis 1"},
      {{-1, 4, kMaxExtent + 1, 3}, "input_shape: expected 1 to 2147483647 on axis 2"},
  };
  for (const Case& c : kCases) {
    EXPECT_THAT(InputChannels(config, c.shape),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr(c.message)));
  }
}

TEST(GeometryTest, HashesEveryFieldOfAProblem) {
  const LayerConfigBuilder base = LayerConfigBuilder().Filters(4).KernelSize({3, 3});
  const auto problem = [](LayerConfigBuilder builder, Shape input = {1, 5, 5, 5}) {
    return *MakeDeconvProblem(builder.Build(), 5, input);
  };
  const std::vector<DeconvProblem> problems = {
      problem(base),
      problem(base, {2, 5, 5, 5}),
      problem(base, {1, 5, 6, 5}),
      problem(LayerConfigBuilder(base).Filters(5)),
      problem(LayerConfigBuilder(base).KernelSize({3, 4})),
      problem(LayerConfigBuilder(base).Strides({1, 2})),
      problem(LayerConfigBuilder(base).DilationRate({2, 1})),
      problem(LayerConfigBuilder(base).Same()),
      problem(LayerConfigBuilder(base).ChannelsFirst()),
      problem(LayerConfigBuilder(base).DType("float16")),
      problem(LayerConfigBuilder(base).UseBias(false)),
      problem(LayerConfigBuilder(base).Activation("relu")),
  };
  const std::unordered_set<DeconvProblem> distinct(problems.begin(), problems.end());
  EXPECT_EQ(distinct.size(), problems.size());
  std::unordered_set<size_t> hashes;
  for (const DeconvProblem& p : problems) hashes.insert(std::hash<DeconvProblem>()(p));
  EXPECT_EQ(hashes.size(), problems.size());
  EXPECT_TRUE(distinct.contains(problem(base)));
}

}  // namespace
}  // namespace tconv::server
