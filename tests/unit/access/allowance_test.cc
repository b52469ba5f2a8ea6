#include "server/access/allowance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <optional>

#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

const Allowance::Clock::time_point kNow(std::chrono::hours(1));

TEST(AllowanceTest, BytesInFlightAreBounded) {
  Allowance allowance("tenant \"a\"", {.in_flight_bytes = 10});
  EXPECT_THAT(allowance.Enter(6), IsOk());
  EXPECT_THAT(allowance.Enter(5), StatusIs(StatusCode::kResourceExhausted,
                                           AllOf(HasSubstr("tenant \"a\""), HasSubstr("6 of 10"))));
  EXPECT_THAT(allowance.Enlarge(5), StatusIs(StatusCode::kResourceExhausted));
  EXPECT_THAT(allowance.Enlarge(4), IsOk());
  EXPECT_EQ(allowance.bytes_in_flight(), 10);
  allowance.Leave(10);
  EXPECT_THAT(allowance.Enter(10), IsOk());
}

TEST(AllowanceTest, OnlyWhatCouldEverFitIsWorthAnotherTry) {
  Allowance allowance("a", {.in_flight_bytes = 10});
  ASSERT_THAT(allowance.Enter(10), IsOk());
  EXPECT_TRUE(RetryDelayOf(allowance.Enter(1)).has_value());
  EXPECT_FALSE(RetryDelayOf(allowance.Enter(11)).has_value());
}

TEST(AllowanceTest, CallsOfOneSecondMayComeAtOnceAndOthersAreToldWhenToCome) {
  Allowance allowance("a", {.calls_per_second = 4});
  for (int i = 0; i < 4; ++i) EXPECT_THAT(allowance.Enter(0, kNow), IsOk()) << i;
  const Status refused = allowance.Enter(0, kNow);
  EXPECT_THAT(refused, StatusIs(StatusCode::kResourceExhausted, HasSubstr("4 calls a second")));
  EXPECT_EQ(RetryDelayOf(refused), milliseconds(250));
  EXPECT_THAT(allowance.Enter(0, kNow + milliseconds(249)),
              StatusIs(StatusCode::kResourceExhausted));
  EXPECT_THAT(allowance.Enter(0, kNow + milliseconds(250)), IsOk());
}

TEST(AllowanceTest, APauseSavesNoMoreThanOneSecond) {
  Allowance allowance("a", {.calls_per_second = 2});
  const auto later = kNow + std::chrono::hours(1);
  ASSERT_THAT(allowance.Enter(0, kNow), IsOk());
  EXPECT_THAT(allowance.Enter(0, later), IsOk());
  EXPECT_THAT(allowance.Enter(0, later), IsOk());
  EXPECT_THAT(allowance.Enter(0, later), StatusIs(StatusCode::kResourceExhausted));
}

TEST(AllowanceTest, ARefusedCallIsNotCounted) {
  Allowance allowance("a", {.in_flight_bytes = 10, .calls_per_second = 1});
  EXPECT_FALSE(allowance.Enter(11, kNow).ok());
  EXPECT_THAT(allowance.Enter(10, kNow), IsOk());
  EXPECT_FALSE(allowance.Enter(0, kNow).ok());
  EXPECT_EQ(allowance.bytes_in_flight(), 10);
}

TEST(AllowanceTest, WithoutARateNobodyMayCall) {
  Allowance allowance("a", {.calls_per_second = 0});
  const Status refused = allowance.Enter(0);
  EXPECT_THAT(refused, StatusIs(StatusCode::kResourceExhausted));
  EXPECT_FALSE(RetryDelayOf(refused).has_value());
}

TEST(AllowanceTest, NewLimitsHoldForWhatComesNext) {
  Allowance allowance("a", {});
  ASSERT_THAT(allowance.Enter(100), IsOk());
  allowance.Change({.in_flight_bytes = 50});
  EXPECT_THAT(allowance.Enter(1), StatusIs(StatusCode::kResourceExhausted));
  allowance.Leave(100);
  EXPECT_THAT(allowance.Enter(50), IsOk());
}

}  // namespace
}  // namespace tconv::server
