#include "client/src/server_timing.h"

#include <gtest/gtest.h>

#include <string_view>

namespace tconv {
namespace {

using std::chrono::microseconds;

TEST(ServerTimingTest, ReadsEveryWordInAnyOrder) {
  const auto timing = ParseServerTiming("serialize=5,queue=12,plan=3,compute=840");
  ASSERT_TRUE(timing.has_value());
  EXPECT_EQ(timing->queue, microseconds(12));
  EXPECT_EQ(timing->plan, microseconds(3));
  EXPECT_EQ(timing->compute, microseconds(840));
  EXPECT_EQ(timing->serialize, microseconds(5));
}

TEST(ServerTimingTest, PassesOverWordsOfLaterServers) {
  const auto timing = ParseServerTiming("compute=7,gpu=none");
  ASSERT_TRUE(timing.has_value());
  EXPECT_EQ(timing->compute, microseconds(7));
  EXPECT_EQ(timing->queue, microseconds(0));
}

TEST(ServerTimingTest, RefusesWhatIsNoTiming) {
  for (const std::string_view text :
       {"compute", "compute=", "compute=x", "compute=1.5", "compute=-1", "queue=1,,plan=2",
        "compute=99999999999999999999"}) {
    EXPECT_EQ(ParseServerTiming(text).has_value(), false) << text;
  }
}

}  // namespace
}  // namespace tconv
