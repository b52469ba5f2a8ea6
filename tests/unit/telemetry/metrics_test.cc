#include "server/telemetry/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <string>

namespace tconv::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Key;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

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

TEST(MetricsTest, SamplesAreWhatTheTextSays) {
  Metrics metrics;
  metrics.AddCounter("tconv_uses_total", "Uses.", [] { return 1; }, {{"by", "a"}});
  metrics.AddGauge("tconv_things", "Things.", [] { return 2.5; });
  auto& histogram = prometheus::BuildHistogram()
                        .Name("tconv_seconds")
                        .Register(metrics.registry())
                        .Add({}, prometheus::Histogram::BucketBoundaries{1, 10});
  for (const double seconds : {0.5, 2.0, 3.0, 20.0}) histogram.Observe(seconds);
  const MetricSamples samples = metrics.Samples();
  ASSERT_THAT(samples, UnorderedElementsAre(Key("tconv_uses_total"), Key("tconv_things"),
                                            Key("tconv_seconds")));
  EXPECT_THAT(samples.at("tconv_uses_total").front().labels, ElementsAre(Pair("by", "a")));
  EXPECT_EQ(samples.at("tconv_uses_total").front().value, 1);
  EXPECT_EQ(samples.at("tconv_things").front().value, 2.5);
  const MetricSample& times = samples.at("tconv_seconds").front();
  EXPECT_EQ(times.value, 25.5);
  ASSERT_EQ(times.buckets.size(), 3u);
  EXPECT_EQ(times.buckets[0].count, 1u);
  EXPECT_EQ(times.buckets[1].upper_bound, 10);
  EXPECT_EQ(times.buckets[1].count, 3u);
  EXPECT_EQ(times.buckets[2].count, 4u);
}

}  // namespace
}  // namespace tconv::server
