#include "server/telemetry/forward_counters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace tconv::server {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

class ForwardCountersTest : public ::testing::Test {
 protected:
  Metrics metrics_;
  ForwardCounters counters_{metrics_, "layer", 2};
  ForwardCounters::Clock::time_point now_{};
};

TEST_F(ForwardCountersTest, CountsCallsAndTheirTimeByName) {
  counters_.Count("up", 1500ms, now_);
  counters_.Count("up", 500ms, now_);
  counters_.Count("down", 250ms, now_);
  const std::string text = metrics_.Text();
  EXPECT_THAT(text, HasSubstr("tconv_layer_forwards_total{layer=\"up\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("tconv_layer_compute_seconds_total{layer=\"up\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("tconv_layer_compute_seconds_total{layer=\"down\"} 0.25\n"));
}

TEST_F(ForwardCountersTest, NamesBeyondTheBoundAreCountedTogether) {
  for (const char* name : {"a", "b", "c", "d", "c"}) counters_.Count(name, 1s, now_);
  const std::string text = metrics_.Text();
  EXPECT_THAT(text, HasSubstr("tconv_layer_forwards_total{layer=\"/others\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("{layer=\"a\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("{layer=\"c\"}")));
}

TEST_F(ForwardCountersTest, ANameThatNobodyUsesMakesRoomForANewOne) {
  counters_.Count("a", 1s, now_);
  counters_.Count("b", 1s, now_);
  now_ += ForwardCounters::kIdleTime - 1s;
  counters_.Count("a", 1s, now_);
  counters_.Count("c", 1s, now_);
  EXPECT_THAT(metrics_.Text(), Not(HasSubstr("{layer=\"c\"}"))) << "b was used a moment ago";
  now_ += 2s;
  counters_.Count("c", 1s, now_);
  const std::string text = metrics_.Text();
  EXPECT_THAT(text, HasSubstr("{layer=\"a\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("{layer=\"c\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("{layer=\"b\"}")));
}

TEST_F(ForwardCountersTest, ABoundOfNoneCountsAllTogether) {
  ForwardCounters none(metrics_, "strategy", 0);
  none.Count("phase_conv", 1s, now_);
  EXPECT_THAT(metrics_.Text(),
              HasSubstr("tconv_strategy_forwards_total{strategy=\"/others\"} 1\n"));
}

TEST_F(ForwardCountersTest, NamesAreEscaped) {
  counters_.Count("a\"} 1\nforged", 1s, now_);
  EXPECT_THAT(metrics_.Text(), HasSubstr(R"({layer="a\"} 1\nforged"} 1)"));
}

TEST_F(ForwardCountersTest, CountsFromManyThreadsWhileOthersAsk) {
  constexpr int kCalls = 200;
  const std::vector<std::string> names = {"a", "b", "c"};
  counters_.Count("a", 1ns, now_);
  std::vector<std::thread> threads;
  for (const std::string& name : names) {
    threads.emplace_back([this, &name] {
      for (int i = 0; i < kCalls; ++i) counters_.Count(name, 1ns, now_ + i * 1h);
    });
  }
  for (int i = 0; i < 20; ++i) EXPECT_THAT(metrics_.Text(), HasSubstr("# TYPE"));
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace tconv::server
