#include "server/compute/phases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/shape_table.h"
#include "tests/unit/compute/contributions.h"

namespace tconv::server {
namespace {

TEST(PhasesTest, AProblemOfOneAxisHasNoDepthAndNoHeight) {
  const auto problem = tconv::testing::ParseShapeRow("line 1x5x2 f=3 k=3 s=2").problem;
  const auto axes = SpatialAxes(problem);
  EXPECT_EQ(axes[0].in, 1);
  EXPECT_EQ(axes[1].out, 1);
  EXPECT_EQ(axes[2], problem.axes[0]);
}

TEST(PhasesTest, EachPhaseHasItsOwnTaps) {
  const auto groups = PhaseGroupsOf(AxisOf("1x5x1 f=1 k=5 s=3"), false);
  ASSERT_EQ(groups.size(), 3u);
  EXPECT_EQ(groups[0].taps, 2);  // 0 and 3
  EXPECT_EQ(groups[1].taps, 2);  // 1 and 4
  EXPECT_EQ(groups[2].taps, 1);  // 2
}

TEST(PhasesTest, PhasesWithEqualTapsMerge) {
  const auto groups = PhaseGroupsOf(AxisOf("1x5x1 f=1 k=5 s=3"), true);
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].phases, 2);
  EXPECT_EQ(groups[1].first_phase, 2);
}

TEST(PhasesTest, PhasesWithoutTapsAreLeftOut) {
  const AxisGeometry axis = AxisOf("1x2x1 f=1 k=1 s=3");
  const auto groups = PhaseGroupsOf(axis, false);
  ASSERT_EQ(groups.size(), 1u);
  EXPECT_THAT(CoverageOf(axis, groups),
              ::testing::ElementsAre(true, false, false, true, false, false));
}

TEST(PhasesTest, DilationIsTheDistanceOfTaps) {
  const auto groups = PhaseGroupsOf(AxisOf("1x5x1 f=1 k=3 d=2"), false);
  ASSERT_EQ(groups.size(), 1u);
  EXPECT_EQ(groups[0].taps, 3);
  EXPECT_EQ(groups[0].tap_distance, 2);
}

class PhasesOfAxisTest : public ::testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Axes, PhasesOfAxisTest, ::testing::ValuesIn(kAxisCases));

TEST_P(PhasesOfAxisTest, GroupsComputeExactlyTheContributions) {
  const AxisGeometry axis = AxisOf(GetParam());
  for (const bool merge : {false, true}) {
    Contributions computed;
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
  const AxisGeometry axis = AxisOf(GetParam());
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
  const AxisGeometry axis = AxisOf(GetParam());
  Contributions listed;
  for (int64_t out = 0; out < axis.out; ++out) {
    for (const Contribution& c : ContributionsOf(axis, out)) listed.insert({out, c.tap, c.in});
  }
  EXPECT_EQ(listed, DefinedContributions(axis));
}

}  // namespace
}  // namespace tconv::server
