#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/cli/geometry_text.h"
#include "client/cli/json.h"
#include "client/cli/picture.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/client/tool_fixture.h"

namespace tconv::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Return;

// Extents of one axis, and as many axes as there are.
v1::Layer LayerOf(int rank, int64_t kernel, int64_t stride, int64_t version) {
  v1::Layer layer;
  layer.set_name("up1");
  layer.set_weights_version(version);
  layer.set_input_channels(version == 0 ? 0 : 2);
  v1::LayerConfig& config = *layer.mutable_config();
  config.set_filters(3);
  config.set_padding(v1::PADDING_SAME);
  config.set_data_format(v1::DATA_FORMAT_CHANNELS_LAST);
  for (int axis = 0; axis < rank; ++axis) {
    config.add_kernel_size(kernel);
    config.add_strides(stride);
    config.add_dilation_rate(1);
  }
  return layer;
}

class InspectToolTest : public ToolTest {
 protected:
  void ServerHas(const v1::Layer& layer) {
    v1::GetResponse answer;
    *answer.mutable_layer() = layer;
    EXPECT_CALL(*connection_, Get).WillRepeatedly(Return(answer));
  }
  void ServerHasKernel(Shape shape) {
    std::vector<float> values(static_cast<size_t>(*ElementCount(shape)), 0.5F);
    VersionedWeights answer{.version = 1};
    answer.weights.kernel = *Tensor::FromVector(std::move(shape), std::move(values));
    EXPECT_CALL(*connection_, GetWeights).WillRepeatedly(Return(answer));
  }
};

TEST_F(InspectToolTest, DrawsTheGeometryOfALayerThatIsNotBuilt) {
  ServerHas(LayerOf(2, 3, 2, /*version=*/0));
  ASSERT_EQ(Run({"inspect", "up1", "--inputs", "3,2"}), 0) << err();
  EXPECT_THAT(out(), HasSubstr("height: 3 inputs, 6 outputs; the taps of each input by number\n"
                               "  input 0   |012...|\n"
                               "  input 1   |..012.|\n"
                               "  input 2   |....01|2\n"
                               "  taps      |112121|\n"
                               "            |==@=@=|\n"));
  EXPECT_THAT(out(), HasSubstr("taps of each output\n"
                               "   1 1 2 1\n"
                               "   1 1 2 1\n"
                               "   2 2 4 2\n"));
  EXPECT_THAT(out(), HasSubstr("warning: height: checkerboard, kernel 3 is no multiple of stride "
                               "2"));
  EXPECT_THAT(out(), Not(HasSubstr("kernel: from")));
}

TEST_F(InspectToolTest, DrawsPlanesOfThreeAxes) {
  ServerHas(LayerOf(3, 3, 2, /*version=*/0));
  ASSERT_EQ(Run({"inspect", "up1", "--inputs", "3,1,1"}), 0) << err();
  EXPECT_THAT(out(), HasSubstr("taps of each output at depth 2, 4\n   2 2\n   2 2\n"
                               "taps of each output at depth 0-1, 3, 5\n   1 1\n   1 1\n"));
}

TEST_F(InspectToolTest, DrawsTheKernel) {
  ServerHas(LayerOf(1, 4, 2, /*version=*/1));
  ServerHasKernel({4, 3, 2});
  ASSERT_EQ(Run({"inspect", "up1", "--filters", "1:3"}), 0) << err();
  EXPECT_THAT(out(), HasSubstr("kernel: from 0.5 to 0.5, mean 0.5, deviation 0\n"
                               "filters 1:3 downwards, channels 0:2 to the right; 9 is 0.5\n"
                               "    9  9  9  9     9  9  9  9\n"
                               "\n"
                               "    9  9  9  9     9  9  9  9\n"));
  EXPECT_THAT(out(), HasSubstr("length: even, each output gets 2 taps"));
  EXPECT_THAT(out(), Not(HasSubstr("warning")));
}

TEST_F(InspectToolTest, TellsScriptsAllOfIt) {
  ServerHas(LayerOf(1, 3, 2, /*version=*/1));
  ServerHasKernel({3, 3, 2});
  ASSERT_EQ(Run({"inspect", "up1", "--inputs", "5", "--json"}), 0) << err();
  const Json report = Json::parse(out());
  EXPECT_EQ(report["axes"], Json::array({{{"axis", "length"},
                                          {"inputs", 5},
                                          {"outputs", 10},
                                          {"kernel", 3},
                                          {"stride", 2},
                                          {"dilation", 1},
                                          {"crop_begin", 0},
                                          {"crop_end", 1},
                                          {"even", false}}}));
  EXPECT_EQ(report["warnings"].size(), 1u);
  EXPECT_EQ(report["kernel"]["filters"], Json({0, 3}));
  EXPECT_EQ(report["kernel"]["largest"], 0.5);
}

TEST_F(InspectToolTest, WritesTheKernelAsAPicture) {
  const tconv::testing::TempFolder folder;
  ServerHas(LayerOf(2, 4, 2, /*version=*/1));
  ServerHasKernel({4, 4, 3, 2});
  ASSERT_EQ(Run({"inspect", "up1", "--png", folder / "kernel.png"}), 0) << err();
  const auto picture = ReadPng(folder / "kernel.png");
  ASSERT_TRUE(picture.ok());
  EXPECT_EQ(picture->width, 24 * (2 * 5 - 1));
  EXPECT_EQ(picture->height, 24 * (3 * 5 - 1));
}

TEST_F(InspectToolTest, RefusesToDrawAKernelThatIsNotThere) {
  ServerHas(LayerOf(2, 4, 2, /*version=*/0));
  EXPECT_EQ(Run({"inspect", "up1", "--png", "/nonexistent/kernel.png"}), 6);
  EXPECT_THAT(err(), HasSubstr("\"up1\" is not built"));
}

TEST_F(InspectToolTest, LeavesTheWeightsWhereTheyAre) {
  ServerHas(LayerOf(2, 4, 2, /*version=*/1));
  EXPECT_EQ(Run({"inspect", "up1", "--geometry"}), 0);
  EXPECT_THAT(err(), IsEmpty());
}

TEST_F(InspectToolTest, RefusesWhatTheLayerDoesNotHave) {
  ServerHas(LayerOf(2, 4, 2, /*version=*/1));
  const struct {
    std::vector<std::string> arguments;
    int exit_code;
    std::string message;
  } kCases[] = {
      {{"--filters", "2:9"}, 3, "--filters: the layer has 3, got 2:9"},
      {{"--channels", "2:3"}, 3, "--channels: the layer has 2, got 2:3"},
      {{"--inputs", "3"}, 3, "--inputs: expected 2 extents, got 1"},
      {{"--inputs", "3,65"}, 3, "expected extents from 1 to 64, got 65"},
      {{"--filters", "3:3"}, 2, "expected a range like 0:8, got 3:3"},
      {{"--filters", "-1:3"}, 2, "got -1:3"},
      {{"--filters", "3"}, 2, "got 3"},
      {{"--filters", "0:8x"}, 2, "got 0:8x"},
      {{"--geometry", "--png", "x.png"}, 2, "excludes"},
  };
  for (const auto& c : kCases) {
    std::vector<std::string> arguments = {"inspect", "up1"};
    arguments.insert(arguments.end(), c.arguments.begin(), c.arguments.end());
    EXPECT_EQ(Run(arguments), c.exit_code) << c.message;
    EXPECT_THAT(err(), HasSubstr(c.message));
  }
}

TEST_F(InspectToolTest, DrawsNoMoreThanALineHolds) {
  ServerHas(LayerOf(1, 1000, 7, /*version=*/1));
  ServerHasKernel({1000, 3, 2});
  ASSERT_EQ(Run({"inspect", "up1"}), 0) << err();
  std::istringstream lines(out());
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 150u) << line;
  EXPECT_THAT(out(), HasSubstr("too wide to draw here"));
}

TEST(GeometryTextTest, ColorsWhatATerminalShows) {
  const Footprint even{.in = 2, .out = 4, .kernel = 2, .stride = 2};
  EXPECT_THAT(DrawAxis("length", even, Drawing::kColors), HasSubstr("|████|"));
  const Footprint wide{.in = 1, .out = 11, .kernel = 11};
  EXPECT_THAT(DrawAxis("length", wide, Drawing::kColors), HasSubstr("|  █  █  █  █"));
  EXPECT_THAT(DrawCoverage({even, even}, Drawing::kColors), HasSubstr("\x1b[48;5;255m"));
}

}  // namespace
}  // namespace tconv::cli
