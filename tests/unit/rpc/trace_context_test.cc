#include "server/rpc/trace_context.h"

#include <gtest/gtest.h>

#include <string>

namespace tconv::server {
namespace {

constexpr char kHeader[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

TEST(TraceContextTest, ReadsTheHeaderOfTheStandard) {
  const auto trace = TraceContext::Parse(kHeader);
  ASSERT_TRUE(trace.has_value());
  EXPECT_EQ(trace->trace_id(), "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(trace->span_id(), "b7ad6b7169203331");
  EXPECT_EQ(trace->header(), kHeader);
}

TEST(TraceContextTest, LaterVersionsMayHaveMore) {
  const std::string later = std::string("cc") + (kHeader + 2);
  EXPECT_TRUE(TraceContext::Parse(later).has_value());
  EXPECT_TRUE(TraceContext::Parse(later + "-what=ever").has_value());
  EXPECT_FALSE(TraceContext::Parse(later + ".what=ever").has_value());
  EXPECT_FALSE(TraceContext::Parse(later + "-what\never").has_value());
  EXPECT_FALSE(TraceContext::Parse(later + "-" + std::string(1000, 'a')).has_value());
}

TEST(TraceContextTest, WhatIsNotOfTheStandardIsNoTrace) {
  const std::string kWrong[] = {
      "",
      "00",
      std::string(kHeader) + "-more",
      std::string(kHeader).substr(0, 54),
      "ff" + std::string(kHeader + 2),
      "0x" + std::string(kHeader + 2),
      "00-00000000000000000000000000000000-b7ad6b7169203331-01",
      "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
      "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333\"-01",
      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
      "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331_01",
  };
  for (const std::string& header : kWrong) {
    EXPECT_FALSE(TraceContext::Parse(header).has_value()) << header;
  }
}

}  // namespace
}  // namespace tconv::server
