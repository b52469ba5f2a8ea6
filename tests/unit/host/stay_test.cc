#include "server/host/stay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <utility>

#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using testing::IsOk;
using testing::StatusIs;

class StayTest : public ::testing::Test {
 protected:
  AdmissionQueue queue_{{.handler_threads = 1, .max_waiting_calls = 2, .max_bytes = 100}};
  const std::shared_ptr<Allowance> all_ =
      std::make_shared<Allowance>("all", AllowanceLimits{.in_flight_bytes = 50});
  const std::shared_ptr<Allowance> tenant_ =
      std::make_shared<Allowance>("tenant", AllowanceLimits{.in_flight_bytes = 20});
};

TEST_F(StayTest, CountsEverywhereUntilItEnds) {
  {
    auto stay = Stay::Enter(queue_, {all_, tenant_}, 10);
    ASSERT_THAT(stay, IsOk());
    ASSERT_THAT(stay->Enlarge(5), IsOk());
    std::optional<Stay> moved(*std::move(stay));
    EXPECT_EQ(moved->bytes(), 15);
    EXPECT_EQ(queue_.calls(), 1);
    EXPECT_EQ(queue_.bytes(), 15);
    EXPECT_EQ(all_->bytes_in_flight(), 15);
    EXPECT_EQ(tenant_->bytes_in_flight(), 15);
  }
  EXPECT_EQ(queue_.calls(), 0);
  EXPECT_EQ(queue_.bytes(), 0);
  EXPECT_EQ(all_->bytes_in_flight(), 0);
  EXPECT_EQ(tenant_->bytes_in_flight(), 0);
}

TEST_F(StayTest, WhatIsRefusedInOnePlaceCountsInNone) {
  EXPECT_THAT(Stay::Enter(queue_, {all_, tenant_}, 21), StatusIs(StatusCode::kResourceExhausted));
  EXPECT_EQ(all_->bytes_in_flight(), 0);
  queue_.Close();
  EXPECT_THAT(Stay::Enter(queue_, {all_, tenant_}, 1), StatusIs(StatusCode::kUnavailable));
  EXPECT_EQ(all_->bytes_in_flight(), 0);
  EXPECT_EQ(tenant_->bytes_in_flight(), 0);
  EXPECT_EQ(queue_.calls(), 0);
}

TEST_F(StayTest, WhatCannotGrowInOnePlaceGrowsInNone) {
  auto stay = Stay::Enter(queue_, {all_, tenant_}, 10);
  ASSERT_THAT(stay, IsOk());
  EXPECT_THAT(stay->Enlarge(11), StatusIs(StatusCode::kResourceExhausted));
  auto other = Stay::Enter(queue_, {}, 85);
  ASSERT_THAT(other, IsOk());
  EXPECT_THAT(stay->Enlarge(6), StatusIs(StatusCode::kResourceExhausted));
  EXPECT_EQ(stay->bytes(), 10);
  EXPECT_EQ(all_->bytes_in_flight(), 10);
  EXPECT_EQ(tenant_->bytes_in_flight(), 10);
  EXPECT_EQ(queue_.bytes(), 95);
}

}  // namespace
}  // namespace tconv::server
