#include "client/cli/loss_curve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <regex>
#include <string>
#include <vector>

namespace tconv::cli {
namespace {

using ::testing::AllOf;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Le;
using ::testing::Not;
using ::testing::SizeIs;

struct Point {
  double x, y;
};

// Those of the first line, which has the losses themselves.
std::vector<Point> PointsOf(const std::string& svg) {
  std::smatch line;
  EXPECT_TRUE(std::regex_search(svg, line, std::regex("points=\"([^\"]*)\"")));
  std::vector<Point> points;
  const std::string text = line[1];
  const std::regex pair("([-0-9.]+),([-0-9.]+) ");
  for (std::sregex_iterator it(text.begin(), text.end(), pair), end; it != end; ++it) {
    points.push_back({std::stod((*it)[1]), std::stod((*it)[2])});
  }
  return points;
}

TEST(LossCurveTest, FallsFromLeftToRight) {
  const auto points = PointsOf(DrawLossCurve({4, 2, 1}, ""));
  ASSERT_THAT(points, SizeIs(3));
  EXPECT_LT(points[0].x, points[1].x);
  EXPECT_LT(points[1].x, points[2].x);
  EXPECT_LT(points[0].y, points[1].y);  // down is larger
  EXPECT_NEAR(points[2].y - points[1].y, (points[1].y - points[0].y) / 2, 0.11);
}

TEST(LossCurveTest, StaysInsideOfItsDrawing) {
  std::vector<double> losses;
  for (int i = 0; i < 1234; ++i) losses.push_back(17.3 / (i + 1));
  for (const auto& [x, y] : PointsOf(DrawLossCurve(losses, ""))) {
    EXPECT_THAT(x, AllOf(Ge(84), Le(700)));
    EXPECT_THAT(y, AllOf(Ge(48), Le(346)));
  }
}

TEST(LossCurveTest, SaysWhatItShows) {
  const std::string svg = DrawLossCurve({0.004, 0.002}, "600 steps");
  EXPECT_THAT(svg, HasSubstr("600 steps"));
  EXPECT_THAT(svg, HasSubstr(">step<"));
  EXPECT_THAT(svg, HasSubstr(">loss (mean squared error)<"));
  for (const char* tick : {">0<", ">0.001<", ">0.004<"}) EXPECT_THAT(svg, HasSubstr(tick));
}

TEST(LossCurveTest, LeavesOutWhatIsNotFinite) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  const std::string svg = DrawLossCurve({1, nan, infinity, 0.5}, "");
  EXPECT_THAT(PointsOf(svg), SizeIs(2));
  EXPECT_THAT(svg, AllOf(Not(HasSubstr("nan")), Not(HasSubstr("inf"))));
}

TEST(LossCurveTest, DrawsLossesThatAreZero) {
  EXPECT_THAT(PointsOf(DrawLossCurve({0, 0}, "")), SizeIs(2));
}

}  // namespace
}  // namespace tconv::cli
