#include "server/compute/weight_stream_layout.h"

#include <gtest/gtest.h>

#include "tests/support/shape_table.h"
#include "tests/unit/compute/contributions.h"

namespace tconv::server {
namespace {

DeconvProblem ProblemOf(const std::string& arguments) {
  return tconv::testing::ParseShapeRow("problem " + arguments).problem;
}

TEST(StreamLayoutTest, TapsThatReachNoOutputAreLeftOut) {
  const StreamLayout layout(ProblemOf("1x1x3 f=4 k=7 s=2 same"));
  ASSERT_EQ(layout.taps.size(), 2u);
  EXPECT_EQ(layout.taps[0].tap, 2);
  EXPECT_EQ(layout.taps[1].tap, 3);
}

TEST(StreamLayoutTest, AKernelThatReachesNoOutputHasNoTaps) {
  EXPECT_TRUE(StreamLayout(ProblemOf("1x1x3 f=4 k=6 d=2 same")).taps.empty());
}

TEST(StreamLayoutTest, TapsWithTheSameInputsShareThem) {
  const StreamLayout layout(ProblemOf("1x4x5x3 f=4 k=3 s=2"));
  EXPECT_EQ(layout.taps.size(), 9u);
  ASSERT_EQ(layout.input_sets.size(), 1u);
  EXPECT_EQ(layout.InputsOf(0), 4 * 5);
}

constexpr const char* kProblems[] = {"1x4x5x3 f=4 k=3 s=2 same",
                                     "1x4x5x3 f=4 k=3x5 s=2x1 same",
                                     "1x4x3x5 f=7 k=1x4 s=3x2",
                                     "1x6x5x4 f=3 k=3x2 d=1x3 same",
                                     "1x4x5x4 f=3 k=3x4 s=2x3 op=0x2 same",
                                     "1x3x4x5x6 f=4 k=3x2x4 s=1x2x3 op=0x1x2 same",
                                     "1x1x1x3 f=4 k=4 s=2 same",
                                     "1x2x3x2 f=1 k=9 s=8 same",
                                     "2x3x3x2 f=1 k=7 same first"};

class StreamLayoutOfProblemTest : public ::testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Axes, StreamLayoutOfProblemTest, ::testing::ValuesIn(kAxisCases));
INSTANTIATE_TEST_SUITE_P(Problems, StreamLayoutOfProblemTest, ::testing::ValuesIn(kProblems));

TEST_P(StreamLayoutOfProblemTest, MultipliesExactlyTheContributions) {
  const DeconvProblem problem = ProblemOf(GetParam());
  const StreamLayout layout(problem);
  const auto& [d_axis, h_axis, w_axis] = layout.axes;
  Contributions multiplied;
  for (const StreamTap& tap : layout.taps) {
    ASSERT_EQ(static_cast<int64_t>(tap.outputs.size()), layout.InputsOf(tap.input_set));
    const auto& [d, h, w] = layout.input_sets[tap.input_set];
    auto output = tap.outputs.begin();
    for (int64_t id = d.begin; id < d.end; ++id) {
      for (int64_t ih = h.begin; ih < h.end; ++ih) {
        for (int64_t iw = w.begin; iw < w.end; ++iw) {
          const int64_t input = (id * h_axis.in + ih) * w_axis.in + iw;
          EXPECT_TRUE(multiplied.insert({*output++, tap.tap, input}).second);
        }
      }
    }
  }
  EXPECT_EQ(multiplied, DefinedContributions(problem));
}

TEST_P(StreamLayoutOfProblemTest, InputsAreCountedWithoutALayout) {
  const DeconvProblem problem = ProblemOf(GetParam());
  const StreamLayout layout(problem);
  int64_t inputs = 0;
  for (size_t set = 0; set < layout.input_sets.size(); ++set) inputs += layout.InputsOf(set);
  EXPECT_EQ(StreamedInputsOf(problem), inputs);
}

}  // namespace
}  // namespace tconv::server
