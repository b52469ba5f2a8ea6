#include "server/compute/overlap_blocks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <vector>

#include "tests/support/shape_table.h"
#include "tests/unit/compute/contributions.h"

namespace tconv::server {
namespace {

DeconvProblem ProblemOf(const std::string& arguments) {
  return tconv::testing::ParseShapeRow("problem " + arguments).problem;
}

bool Contains(const Range& range, int64_t value) {
  return range.begin <= value && value < range.end;
}

TEST(TapRunsTest, EachPhaseHasItsOwnSteps) {
  const auto runs = TapRunsOf(AxisOf("1x5x1 f=1 k=5 s=3"), false);
  ASSERT_EQ(runs.size(), 3u);
  EXPECT_EQ(runs[0].steps, 2);  // taps 0 and 3
  EXPECT_EQ(runs[1].steps, 2);  // 1 and 4
  EXPECT_EQ(runs[2].steps, 1);  // 2
}

TEST(TapRunsTest, PhasesWithEquallyManyStepsMerge) {
  const auto runs = TapRunsOf(AxisOf("1x5x1 f=1 k=5 s=3"), true);
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_EQ(runs[0].phases, 2);
  EXPECT_EQ(runs[1].first_phase, 2);
}

TEST(TapRunsTest, PhasesWithoutTapsAreARunWithoutSteps) {
  const auto runs = TapRunsOf(AxisOf("1x2x1 f=1 k=1 s=3"), true);
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_EQ(runs[1].phases, 2);
  EXPECT_EQ(runs[1].steps, 0);
}

TEST(TapRunsTest, PhasesWithoutOutputsAreLeftOut) {
  EXPECT_EQ(TapRunsOf(AxisOf("1x1x1 f=1 k=3 s=4 op=0"), false).size(), 3u);
}

TEST(TapRunsTest, DilationIsTheDistanceOfSteps) {
  const auto runs = TapRunsOf(AxisOf("1x5x1 f=1 k=3 d=2"), false);
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].steps, 3);
  EXPECT_EQ(runs[0].distance, 2);
}

class TapRunsOfAxisTest : public ::testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Axes, TapRunsOfAxisTest, ::testing::ValuesIn(kAxisCases));

TEST_P(TapRunsOfAxisTest, RunsGiveEveryOutputOnceAndExactlyItsContributions) {
  const AxisGeometry axis = AxisOf(GetParam());
  for (const bool merge : {false, true}) {
    std::set<int64_t> outputs;
    Contributions computed;
    for (const TapRun& run : TapRunsOf(axis, merge)) {
      for (int64_t p = run.positions.begin; p < run.positions.end; ++p) {
        for (int64_t phase = run.first_phase; phase < run.first_phase + run.phases; ++phase) {
          const int64_t out = axis.stride * p + phase - axis.crop_begin;
          if (out < 0 || out >= axis.out) continue;
          EXPECT_TRUE(outputs.insert(out).second) << out;
          for (int64_t step = 0; step < run.steps; ++step) {
            const int64_t in = p - step * run.distance;
            if (in < 0 || in >= axis.in) continue;
            EXPECT_TRUE(computed.insert({out, phase + axis.stride * step, in}).second);
          }
        }
      }
    }
    EXPECT_EQ(static_cast<int64_t>(outputs.size()), axis.out);
    EXPECT_EQ(computed, DefinedContributions(axis));
  }
}

constexpr const char* kProblems[] = {
    "1x4x5x3 f=4 k=3 s=2 same",
    "1x4x5x3 f=4 k=3x5 s=2x1 same",
    "1x4x3x5 f=7 k=1x4 s=3x2",
    "1x6x5x4 f=3 k=3x2 d=1x3 same",
    "1x4x5x4 f=3 k=3x4 s=2x3 op=0x2 same",
    "1x3x4x5x6 f=4 k=3x2x4 s=1x2x3 op=0x1x2 same",
    "1x1x4x5x6 f=4 k=3 s=2 same",
    "1x1x1x9x6 f=4 k=4 s=2 same",
    "1x9x1x6 f=5 k=3 s=2 same",
    "1x1x11x1 f=17 k=6x2 d=2x1 same",
    "1x2x3x2000 f=150 k=3 s=2",          // sets of filters
    "1x2x3x600 f=70 k=2 s=2",            // the last with few filters
    "1x100x3x2000 f=16 k=3 s=2",         // tasks along the height
    "1x40x3x3x500 f=8 k=2x3x3 s=1x2x2",  // along the depth
    "1x1500x300 f=20 k=5 s=3 same",      // along the line
    "1x900x200 f=40 k=5 d=3",
};

class OverlapBlocksTest : public ::testing::TestWithParam<const char*> {
 protected:
  using Position = std::array<int64_t, 3>;

  static void ForEach(const std::array<Range, 3>& ranges,
                      const std::function<void(const Position&)>& visit) {
    for (int64_t d = ranges[0].begin; d < ranges[0].end; ++d) {
      for (int64_t h = ranges[1].begin; h < ranges[1].end; ++h) {
        for (int64_t w = ranges[2].begin; w < ranges[2].end; ++w) visit({d, h, w});
      }
    }
  }

  std::array<Range, 3> PositionsOf(const OverlapTask& task, const OverlapRun& run) const {
    std::array<Range, 3> positions;
    for (size_t i = 0; i < 3; ++i) {
      positions[i] = Intersection(run.axes[i].positions, blocks_.PositionsOf(task, i));
    }
    return positions;
  }

  static std::array<Range, 3> PhasesOf(const OverlapRun& run) {
    const auto& [d, h, w] = run.axes;
    return {Range{0, d.phases}, Range{0, h.phases}, Range{0, w.phases}};
  }

  // In row-major order, or -1 when outside.
  int64_t OutputOf(const OverlapRun& run, const Position& position, const Position& phase) const {
    int64_t output = 0;
    for (size_t i = 0; i < 3; ++i) {
      const AxisGeometry& axis = blocks_.axes[i];
      const int64_t out =
          axis.stride * position[i] + run.axes[i].first_phase + phase[i] - axis.crop_begin;
      if (out < 0 || out >= axis.out) return -1;
      output = output * axis.out + out;
    }
    return output;
  }

  static Position InputOf(const OverlapRun& run, const OverlapPiece& piece,
                          const Position& position) {
    Position input;
    for (size_t i = 0; i < 3; ++i) {
      input[i] = position[i] - piece.step[i] * run.axes[i].distance;
    }
    return input;
  }

  bool IsInside(const Position& input) const {
    for (size_t i = 0; i < 3; ++i) {
      if (!Contains({0, blocks_.axes[i].in}, input[i])) return false;
    }
    return true;
  }

  // What a task sums, in the order of columns and blocks.
  Contributions ComputedBy(const OverlapTask& task) const {
    Contributions computed;
    const auto& axes = blocks_.axes;
    for (const OverlapRun& run : blocks_.runs) {
      ForEach(PositionsOf(task, run), [&](const Position& position) {
        for (const OverlapPiece& piece : run.pieces) {
          const Position in = InputOf(run, piece, position);
          if (!IsInside(in)) continue;
          const int64_t input = (in[0] * axes[1].in + in[1]) * axes[2].in + in[2];
          auto tap = blocks_.taps.begin() + piece.first_tap;
          ForEach(PhasesOf(run), [&](const Position& phase) {
            const int64_t output = OutputOf(run, position, phase);
            if (output >= 0) computed.insert({output, *tap, input});
            ++tap;
          });
        }
      });
    }
    return computed;
  }

  std::vector<int64_t> OutputsOf(const OverlapTask& task) const {
    std::vector<int64_t> outputs;
    for (const OverlapRun& run : blocks_.runs) {
      ForEach(PositionsOf(task, run), [&](const Position& position) {
        ForEach(PhasesOf(run), [&](const Position& phase) {
          const int64_t output = OutputOf(run, position, phase);
          if (output >= 0) outputs.push_back(output);
        });
      });
    }
    return outputs;
  }

  // The tasks of each set of filters.
  std::map<int64_t, std::vector<OverlapTask>> TaskSets() const {
    std::map<int64_t, std::vector<OverlapTask>> sets;
    for (const OverlapTask& task : blocks_.tasks) sets[task.first_filter].push_back(task);
    return sets;
  }

  const DeconvProblem problem_ = ProblemOf(GetParam());
  const OverlapBlocks blocks_{problem_};
};

INSTANTIATE_TEST_SUITE_P(Axes, OverlapBlocksTest, ::testing::ValuesIn(kAxisCases));
INSTANTIATE_TEST_SUITE_P(Problems, OverlapBlocksTest, ::testing::ValuesIn(kProblems));

TEST_P(OverlapBlocksTest, TasksGiveEveryOutputOnce) {
  for (const auto& [first_filter, tasks] : TaskSets()) {
    std::set<int64_t> outputs;
    for (const OverlapTask& task : tasks) {
      for (const int64_t output : OutputsOf(task)) EXPECT_TRUE(outputs.insert(output).second);
    }
    const int64_t expected = problem_.linear_shape().num_elements() / problem_.out_channels;
    EXPECT_EQ(static_cast<int64_t>(outputs.size()), expected);
  }
}

TEST_P(OverlapBlocksTest, TasksSumExactlyTheContributions) {
  const Contributions expected = DefinedContributions(problem_);
  for (const auto& [first_filter, tasks] : TaskSets()) {
    Contributions computed;
    size_t count = 0;
    for (const OverlapTask& task : tasks) {
      Contributions of_task = ComputedBy(task);
      count += of_task.size();
      computed.merge(of_task);
    }
    EXPECT_EQ(count, computed.size());
    EXPECT_EQ(computed, expected);
  }
}

TEST_P(OverlapBlocksTest, SetsOfFiltersCoverAllFiltersInOrder) {
  int64_t next = 0;
  int64_t last_first = -1;
  for (const OverlapTask& task : blocks_.tasks) {
    if (task.first_filter == last_first) continue;
    EXPECT_EQ(task.first_filter, next);
    last_first = task.first_filter;
    next = task.first_filter + task.filters;
  }
  EXPECT_EQ(next, problem_.out_channels);
}

TEST_P(OverlapBlocksTest, ATaskReadsNoOtherInputsThanItMultiplies) {
  for (const OverlapTask& task : blocks_.tasks) {
    for (const OverlapRun& run : blocks_.runs) {
      ForEach(PositionsOf(task, run), [&](const Position& position) {
        for (const OverlapPiece& piece : run.pieces) {
          const Position in = InputOf(run, piece, position);
          if (!IsInside(in)) continue;
          const Range row = {in[blocks_.row_axis], in[blocks_.row_axis] + 1};
          const auto inputs = blocks_.InputsOf(task, row);
          for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(Contains(inputs[i], in[i]));
          EXPECT_TRUE(Contains(blocks_.InputsOf(task, blocks_.row_axis), row.begin));
        }
      });
    }
  }
}

// When the row of a position is multiplied, only its tile and the one before
// are still there.
TEST_P(OverlapBlocksTest, APositionReadsTheLastTwoTilesOnly) {
  for (const OverlapTask& task : blocks_.tasks) {
    const Range inputs = blocks_.InputsOf(task, blocks_.row_axis);
    const auto tile_of = [&](int64_t row) { return (row - inputs.begin) / blocks_.rows_per_tile; };
    for (const OverlapRun& run : blocks_.runs) {
      const TapRun& rows = run.axes[blocks_.row_axis];
      const Range positions = Intersection(rows.positions, task.rows);
      for (int64_t p = positions.begin; p < positions.end; ++p) {
        for (int64_t step = 0; step < rows.steps; ++step) {
          const int64_t row = p - step * rows.distance;
          if (!Contains(inputs, row)) continue;
          EXPECT_GE(tile_of(row) + 1, tile_of(std::min(p, inputs.end - 1)));
        }
      }
    }
  }
}

TEST_P(OverlapBlocksTest, ColumnsFillVectorsAndHoldEveryTap) {
  for (const int64_t filters : {int64_t{1}, blocks_.filters_per_task}) {
    EXPECT_EQ(blocks_.Columns(filters) % 16, 0);
    EXPECT_GE(blocks_.Columns(filters), static_cast<int64_t>(blocks_.taps.size()) * filters);
  }
}

}  // namespace
}  // namespace tconv::server
