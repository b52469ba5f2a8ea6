// Comparison of messages.
#pragma once

#include <google/protobuf/message.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <string>

namespace tconv::testing {

// For EXPECT_TRUE: tells the fields that differ. A function rather than a
// matcher, since GCC 12 warns about the code that prints messages for those.
inline ::testing::AssertionResult ProtosEqual(const google::protobuf::Message& expected,
                                              const google::protobuf::Message& actual) {
  std::string differences;
  google::protobuf::util::MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&differences);
  if (differencer.Compare(expected, actual)) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << differences;
}

}  // namespace tconv::testing
