#include "server/telemetry/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "server/telemetry/metrics_endpoint.h"
#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::MatchesRegex;
using testing::StatusIs;

TEST(MetricsTest, WhatOthersKnowIsReadWhenItIsAskedFor) {
  Metrics metrics;
  double value = 1;
  metrics.AddGauge("tconv_things", "Things.", [&value] { return value; });
  EXPECT_THAT(metrics.Text(), HasSubstr("# TYPE tconv_things gauge\ntconv_things 1\n"));
  value = 2.5;
  EXPECT_THAT(metrics.Text(), HasSubstr("\ntconv_things 2.5\n"));
}

TEST(MetricsTest, WhatSeveralTellIsFoundOutOnceForEachWhoAsks) {
  Metrics metrics;
  int times = 0;
  metrics.BeforeReading([&times] { ++times; });
  for (const char* name : {"one", "other"})
    metrics.AddGauge(name, "How often.", [&] { return times; });
  EXPECT_EQ(times, 0);
  for (const char* now : {" 1\n", " 2\n"}) {
    const std::string text = metrics.Text();
    EXPECT_THAT(text, HasSubstr("\none" + std::string(now)));
    EXPECT_THAT(text, HasSubstr("\nother" + std::string(now)));
  }
}

TEST(MetricsTest, MetricsOfOneNameAreOneFamily) {
  Metrics metrics;
  metrics.AddCounter("tconv_uses_total", "Uses.", [] { return 1; }, {{"by", "a"}});
  metrics.AddCounter("tconv_uses_total", "Uses.", [] { return 2; }, {{"by", "b"}});
  EXPECT_THAT(metrics.Text(), HasSubstr("# HELP tconv_uses_total Uses.\n"
                                        "# TYPE tconv_uses_total counter\n"
                                        "tconv_uses_total{by=\"a\"} 1\n"
                                        "tconv_uses_total{by=\"b\"} 2\n"));
}

TEST(MetricsEndpointTest, ListensWhereItIsTold) {
  const Metrics metrics;
  const auto endpoint = MetricsEndpoint::Start("127.0.0.1:0", metrics);
  ASSERT_THAT(endpoint, IsOk());
  EXPECT_THAT((*endpoint)->address(), MatchesRegex("127.0.0.1:[1-9][0-9]*"));
  EXPECT_THAT(MetricsEndpoint::Start((*endpoint)->address(), metrics),
              StatusIs(StatusCode::kUnavailable, HasSubstr((*endpoint)->address())))
      << "somebody listens there";
}

TEST(MetricsEndpointTest, AnAddressThatIsNoneIsRefused) {
  const Metrics metrics;
  for (const char* address : {"", "9464", "127.0.0.1", "127.0.0.1:1,127.0.0.1:2", "[::1]:9464"}) {
    EXPECT_THAT(MetricsEndpoint::Start(address, metrics),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr("metrics-listen")))
        << address;
  }
  EXPECT_THAT(MetricsEndpoint::Start("192.0.2.1:9464", metrics),
              StatusIs(StatusCode::kUnavailable));
}

}  // namespace
}  // namespace tconv::server
