#include "client/cli/statistics.h"

#include <gtest/gtest.h>

namespace tconv::cli {
namespace {

TEST(StatisticsTest, APercentileIsAMeasurement) {
  const std::vector<double> sorted = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  EXPECT_EQ(Percentile(sorted, 0), 1);
  EXPECT_EQ(Percentile(sorted, 0.5), 5);
  EXPECT_EQ(Percentile(sorted, 0.9), 9);
  EXPECT_EQ(Percentile(sorted, 0.99), 10);
  EXPECT_EQ(Percentile(sorted, 1), 10);
  EXPECT_EQ(Percentile({7}, 0.5), 7);
}

TEST(StatisticsTest, TheMedianNeedsNoOrder) {
  EXPECT_EQ(Median({3, 1, 2}), 2);
  EXPECT_TRUE(std::isnan(Median({})));
}

}  // namespace
}  // namespace tconv::cli
