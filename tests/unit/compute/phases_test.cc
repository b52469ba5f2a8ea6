#include "server/compute/phases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "tests/support/shape_table.h"

namespace tconv::server {
namespace {

AxisGeometry Axis(const std::string& arguments) {
  return tconv::testing::ParseShapeRow(fmt::format("axis {}", arguments)).problem.axes[0];
}

TEST(PhasesTest, AProblemOfOneAxisHasNoDepthAndNoHeight) {
  const auto problem = tconv::testing::ParseShapeRow("line 1x5x2 f=3 k=3 s=2").problem;
  const auto axes = SpatialAxes(problem);
  EXPECT_EQ(axes[0].in, 1);
  EXPECT_EQ(axes[1].out, 1);
  EXPECT_EQ(axes[2], problem.axes[0]);
}

TEST(PhasesTest, EachPhaseHasItsOwnTaps) {
  const auto groups = PhaseGroupsOf(Axis("1x5x1 f=1 k=5 s=3"), false);
  ASSERT_EQ(groups.size(), 3u);
  EXPECT_EQ(groups[0].taps, 2);  // 0 and 3
  EXPECT_EQ(groups[1].taps, 2);  // 1 and 4
  EXPECT_EQ(groups[2].taps, 1);  // 2
}

TEST(PhasesTest, PhasesWithEqualTapsMerge) {
  const auto groups = PhaseGroupsOf(Axis("1x5x1 f=1 k=5 s=3"), true);
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].phases, 2);
  EXPECT_EQ(groups[1].first_phase, 2);
}

TEST(PhasesTest, PhasesWithoutTapsAreLeftOut) {
  const AxisGeometry axis = Axis("1x2x1 f=1 k=1 s=3");
  const auto groups = PhaseGroupsOf(axis, false);
  ASSERT_EQ(groups.size(), 1u);
  EXPECT_THAT(CoverageOf(axis, groups),
              ::testing::ElementsAre(true, false, false, true, false, false));
}

TEST(PhasesTest, DilationIsTheDistanceOfTaps) {
  const auto groups = PhaseGroupsOf(Axis("1x5x1 f=1 k=3 d=2"), false);
  ASSERT_EQ(groups.size(), 1u);
  EXPECT_EQ(groups[0].taps, 3);
  EXPECT_EQ(groups[0].tap_distance, 2);
}

constexpr const char* kAxes[] = {"1x5x1 f=1 k=3",
                                 "1x5x1 f=1 k=4 s=2 same",
                                 "1x5x1 f=1 k=5 s=3",
                                 "1x4x1 f=1 k=2 s=3",
                                 "1x4x1 f=1 k=3 s=4 op=3",
                                 "1x5x1 f=1 k=5 s=3 op=0 same",
                                 "1x5x1 f=1 k=3 d=3",
                                 "1x4x1 f=1 k=4 s=3 op=0 same",
                                 "1x1x1 f=1 k=7 s=2 same",
                                 "1x5x1 f=1 k=4 d=2 same",
                                 "1x1x1 f=1 k=2 d=3",
                                 "1x9x1 f=1 k=16 s=8 same",
                                 "1x2x1 f=1 k=6 s=4 op=1 same"};

class PhasesOfAxisTest : public ::testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Axes, PhasesOfAxisTest, ::testing::ValuesIn(kAxes));

// Output, tap and input of every contribution, by the definition: output =
// input * stride + tap * dilation - crop.
std::set<std::array<int64_t, 3>> DefinedContributions(const AxisGeometry& axis) {
  std::set<std::array<int64_t, 3>> contributions;
  for (int64_t in = 0; in < axis.in; ++in) {
    for (int64_t tap = 0; tap < axis.kernel; ++tap) {
      const int64_t out = in * axis.stride + tap * axis.dilation - axis.crop_begin;
      if (out >= 0 && out < axis.out) contributions.insert({out, tap, in});
    }
  }
  return contributions;
}

TEST_P(PhasesOfAxisTest, GroupsComputeExactlyTheContributions) {
  const AxisGeometry axis = Axis(GetParam());
  for (const bool merge : {false, true}) {
    std::set<std::array<int64_t, 3>> computed;  // output, tap, input
    for (const PhaseGroup& group : PhaseGroupsOf(axis, merge)) {
      for (int64_t p = group.first_position; p < group.first_position + group.positions; ++p) {
        for (int64_t phase = group.first_phase; phase < group.first_phase + group.phases; ++phase) {
          for (int64_t t = 0; t < group.taps; ++t) {
            const int64_t out = axis.stride * p + phase - axis.crop_begin;
            const int64_t in = p - t * group.tap_distance;
            if (out < 0 || out >= axis.out || in < 0 || in >= axis.in) continue;
            const bool is_new = computed.insert({out, phase + axis.stride * t, in}).second;
            EXPECT_TRUE(is_new);
          }
        }
      }
    }
    EXPECT_EQ(computed, DefinedContributions(axis));
  }
}

// What a convolution can be asked for: paddings between none and its reach.
TEST_P(PhasesOfAxisTest, GroupsPadByAtMostTheirReach) {
  const AxisGeometry axis = Axis(GetParam());
  for (const bool merge : {false, true}) {
    for (const PhaseGroup& group : PhaseGroupsOf(axis, merge)) {
      const int64_t reach = (group.taps - 1) * group.tap_distance;
      const int64_t end = group.first_position + group.positions;
      EXPECT_GE(group.first_position, 0);
      EXPECT_LE(group.first_position, reach);
      EXPECT_GE(end, axis.in);
      EXPECT_LE(end, axis.in + reach);
    }
  }
}

TEST_P(PhasesOfAxisTest, ContributionsAreListedByOutput) {
  const AxisGeometry axis = Axis(GetParam());
  std::set<std::array<int64_t, 3>> listed;  // output, tap, input
  for (int64_t out = 0; out < axis.out; ++out) {
    for (const Contribution& c : ContributionsOf(axis, out)) listed.insert({out, c.tap, c.in});
  }
  EXPECT_EQ(listed, DefinedContributions(axis));
}

}  // namespace
}  // namespace tconv::server
