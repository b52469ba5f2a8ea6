#include "client/cli/footprint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace tconv::cli {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;

struct Layer {
  int64_t kernel = 1;
  int64_t stride = 1;
  bool same = false;
  std::optional<int64_t> output_padding = {};
  int64_t dilation = 1;
};

v1::LayerConfig ConfigOf(const Layer& layer) {
  v1::LayerConfig config;
  config.add_kernel_size(layer.kernel);
  config.add_strides(layer.stride);
  config.add_dilation_rate(layer.dilation);
  config.set_padding(layer.same ? v1::PADDING_SAME : v1::PADDING_VALID);
  if (layer.output_padding) config.add_output_padding(*layer.output_padding);
  return config;
}

std::vector<int64_t> CoverageOf(const Footprint& footprint) {
  std::vector<int64_t> coverage;
  for (int64_t i = 0; i < footprint.out; ++i) coverage.push_back(footprint.Coverage(i));
  return coverage;
}

TEST(FootprintTest, CropsAndCoversAsKerasDoes) {
  const struct {
    Layer layer;
    int64_t in;
    int64_t crop_begin, crop_end;
    std::vector<int64_t> coverage;
  } kCases[] = {
      {{.kernel = 2, .stride = 2}, 2, 0, 0, {1, 1, 1, 1}},
      {{.kernel = 3, .stride = 2}, 3, 0, 0, {1, 1, 2, 1, 2, 1, 1}},
      {{.kernel = 3, .stride = 2, .same = true}, 3, 0, 1, {1, 1, 2, 1, 2, 1}},
      {{.kernel = 4, .stride = 2, .same = true}, 3, 1, 1, {1, 2, 2, 2, 2, 1}},
      {{.kernel = 4, .stride = 2, .same = true, .output_padding = 1}, 3, 1, 2, {1, 2, 2, 2, 2}},
      {{.kernel = 3, .stride = 2, .same = true, .output_padding = 0}, 3, 1, 1, {1, 2, 1, 2, 1}},
      {{.kernel = 3, .stride = 2, .output_padding = 1}, 2, 0, -1, {1, 1, 2, 1, 1, 0}},
      {{.kernel = 1, .stride = 3}, 2, 0, -2, {1, 0, 0, 1, 0, 0}},
      {{.kernel = 2, .dilation = 2}, 3, 0, 0, {1, 1, 2, 1, 1}},
      {{.kernel = 2, .stride = 2, .same = true, .output_padding = 0}, 1, 1, 1, {}},
  };
  for (const auto& c : kCases) {
    const Footprint footprint = FootprintOf(ConfigOf(c.layer), 0, c.in);
    EXPECT_EQ(footprint.crop_begin, c.crop_begin);
    EXPECT_EQ(footprint.crop_end(), c.crop_end);
    EXPECT_EQ(CoverageOf(footprint), c.coverage);
  }
}

TEST(FootprintTest, TellsTheTapWithWhichAnInputReachesAPlace) {
  const Footprint footprint = FootprintOf(ConfigOf({.kernel = 3, .dilation = 2}), 0, 4);
  EXPECT_EQ(footprint.TapAt(1, 0), std::nullopt);
  EXPECT_EQ(footprint.TapAt(1, 1), 0);
  EXPECT_EQ(footprint.TapAt(1, 2), std::nullopt);
  EXPECT_EQ(footprint.TapAt(1, 5), 2);
  EXPECT_EQ(footprint.TapAt(1, 7), std::nullopt);
}

TEST(FootprintTest, TakesStridesThatAreNotGivenAsOne) {
  v1::LayerConfig config;
  config.add_kernel_size(3);
  EXPECT_THAT(CoverageOf(FootprintOf(config, 0, 2)), ElementsAre(1, 2, 2, 1));
}

TEST(FootprintTest, DrawsInputsUntilTheirReachesMeet) {
  EXPECT_EQ(InputsToDraw(ConfigOf({.kernel = 2, .stride = 2}), 0), 3);
  EXPECT_EQ(InputsToDraw(ConfigOf({.kernel = 7}), 0), 9);
  EXPECT_EQ(InputsToDraw(ConfigOf({.kernel = 1'000'000}), 0), 16);
}

TEST(FootprintTest, WarnsOfWhatMakesCheckerboards) {
  const struct {
    Layer layer;
    bool is_warning;
    std::string text;
  } kCases[] = {
      {{.kernel = 3, .stride = 2}, true, "kernel 2 or 4 would cover them alike"},
      {{.kernel = 5, .stride = 3, .same = true}, true, "get 1 or 2 taps in turns"},
      {{.kernel = 2, .stride = 3}, true, "1 of 3 outputs get no tap"},
      {{.kernel = 3, .stride = 2, .output_padding = 1}, true, "the last 1 of the outputs"},
      {{.kernel = 4, .stride = 2, .same = true}, false, "even, each output gets 2 taps"},
      {{.kernel = 4, .stride = 2, .same = true}, false, "1 before and 1 after the output"},
      {{.kernel = 3, .dilation = 2}, false, "taps lie 2 apart"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(RemarksOn("width", FootprintOf(ConfigOf(c.layer), 0, 4)),
                Contains(AllOf(Field(&Remark::is_warning, c.is_warning),
                               Field(&Remark::text, HasSubstr("width: ")),
                               Field(&Remark::text, HasSubstr(c.text)))));
  }
}

}  // namespace
}  // namespace tconv::cli
