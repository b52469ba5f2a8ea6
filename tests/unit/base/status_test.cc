#include "server/base/status.h"

#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::tconv::testing::IsOk;
using ::tconv::testing::IsOkAndHolds;
using ::tconv::testing::StatusIs;

TEST(StatusTest, AFieldErrorNamesTheFieldInItsMessageAndAsData) {
  const Status status = InvalidField("kernel_size[1]", "expected > 0, got {}", -3);
  EXPECT_THAT(status,
              StatusIs(StatusCode::kInvalidArgument, "kernel_size[1]: expected > 0, got -3"));
  EXPECT_EQ(FieldOf(status), "kernel_size[1]");
  EXPECT_EQ(DescriptionOf(status), "expected > 0, got -3");
}

TEST(StatusTest, APlainMessageIsNotTakenForAFormat) {
  EXPECT_THAT(InvalidField("x", std::string_view("{}")),
              StatusIs(StatusCode::kInvalidArgument, "x: {}"));
}

TEST(StatusTest, TheEnclosingFieldComesFirst) {
  const Status status = InField("weights", InvalidField("kernel", "expected a, got b"));
  EXPECT_THAT(status, StatusIs(StatusCode::kInvalidArgument, "weights.kernel: expected a, got b"));
  EXPECT_EQ(FieldOf(status), "weights.kernel");
}

TEST(StatusTest, ErrorsAboutNoFieldStayAsTheyAre) {
  const Status status = MakeError(StatusCode::kNotFound, "no layer");
  EXPECT_EQ(FieldOf(status), "");
  EXPECT_EQ(DescriptionOf(status), "no layer");
  EXPECT_EQ(InField("weights", status), status);
  EXPECT_THAT(InField("weights", OkStatus()), IsOk());
}

StatusOr<int> Half(int value) {
  if (value % 2 != 0) return MakeError(StatusCode::kInvalidArgument, "{} is odd", value);
  return value / 2;
}

StatusOr<int> Quarter(int value) {
  TCONV_ASSIGN_OR_RETURN(const int half, Half(value));
  TCONV_RETURN_IF_ERROR(Half(half).status());
  return Half(half);
}

TEST(StatusTest, TheMacrosPassErrorsOn) {
  EXPECT_THAT(Quarter(12), IsOkAndHolds(3));
  EXPECT_THAT(Quarter(7), StatusIs(StatusCode::kInvalidArgument, "7 is odd"));
  EXPECT_THAT(Quarter(6), StatusIs(StatusCode::kInvalidArgument, "3 is odd"));
}

TEST(StatusTest, TellsTheDelayUntilAnotherTry) {
  const Status busy(StatusCode::kResourceExhausted, "busy");
  EXPECT_EQ(RetryDelayOf(busy), std::nullopt);
  const Status later = RetryAfter(std::chrono::milliseconds(40), busy);
  EXPECT_EQ(RetryDelayOf(later), std::chrono::milliseconds(40));
  EXPECT_EQ(MessageOf(later), "busy");
}

}  // namespace
}  // namespace tconv::server
