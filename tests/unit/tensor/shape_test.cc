#include "server/tensor/shape.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::tconv::testing::IsOkAndHolds;
using ::tconv::testing::StatusIs;
using ::testing::HasSubstr;

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

TEST(ShapeTest, CountsItsElements) {
  EXPECT_EQ(Shape().num_elements(), 1);
  EXPECT_EQ(Shape({2, 3, 4}).num_elements(), 24);
  EXPECT_EQ(Shape({2, 0, 4}).num_elements(), 0);
}

TEST(ShapeTest, RefusesWhatCannotBeAddressed) {
  struct Case {
    std::vector<int64_t> dims;
    const char* message;
  } const kCases[] = {
      {{2, -1}, "expected extents >= 0"},
      {{kMax, 2}, "too many elements"},
      {{int64_t{1} << 40, int64_t{1} << 40}, "too many elements"},
      {{0, int64_t{1} << 40, int64_t{1} << 40}, "too many elements"},
      {{1, 1, 1, 1, 1, 1, 1, 1, 1}, "at most 8 axes"},
  };
  for (const Case& c : kCases) {
    EXPECT_THAT(Shape::Make(c.dims), StatusIs(StatusCode::kInvalidArgument, HasSubstr(c.message)));
  }
}

TEST(ShapeTest, TakesTheLargestCountWhoseBytesFit) {
  EXPECT_THAT(Shape::Make(std::vector<int64_t>{kMax / 8}), IsOkAndHolds(Shape({kMax / 8})));
}

TEST(ShapeTest, PrintsUnknownExtentsAsQuestionMarks) {
  EXPECT_EQ(ToString(std::vector<int64_t>{-1, 4, 8}), "[?, 4, 8]");
  EXPECT_EQ(ToString(Shape()), "[]");
}

}  // namespace
}  // namespace tconv::server
