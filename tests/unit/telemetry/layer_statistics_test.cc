#include "server/telemetry/layer_statistics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace tconv::server {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr CallTimes kTimes = {1us, 2us, 3us, 4us};

class LayerStatisticsTest : public ::testing::Test {
 protected:
  void Answer(std::string_view layer, int64_t id, int64_t version, int64_t images = 1) {
    statistics_.Count(
        {layer, true, {.layer_id = id, .weights_version = version, .images = images}, kTimes, 10us},
        now_);
  }
  void Fail(std::string_view layer, int64_t id, int64_t version) {
    statistics_.Count(
        {layer, false, {.layer_id = id, .weights_version = version}, CallTimes(), 5us}, now_);
  }

  LayerStatistics statistics_{3};
  std::chrono::system_clock::time_point now_{42s};
};

TEST_F(LayerStatisticsTest, SumsUpWhatWasAnswered) {
  Answer("up", 7, 1, 4);
  now_ += 1s;
  Answer("up", 7, 1, 2);
  const auto versions = statistics_.Of("up", 7);
  ASSERT_THAT(versions, SizeIs(1));
  const VersionStatistics& first = versions[0];
  EXPECT_EQ(first.version, 1);
  EXPECT_EQ(first.images, 6);
  EXPECT_EQ(first.computations, 2);
  EXPECT_EQ(first.last_answer, now_);
  const struct {
    const char* what;
    DurationSum sum;
    std::chrono::nanoseconds time;
  } kCases[] = {{"answered", first.answered, 20us},
                {"queue", first.queue, 2us},
                {"plan", first.plan, 4us},
                {"compute", first.compute, 6us},
                {"serialize", first.serialize, 8us}};
  for (const auto& test : kCases) {
    EXPECT_EQ(test.sum.count, 2) << test.what;
    EXPECT_EQ(test.sum.time, test.time) << test.what;
  }
  EXPECT_EQ(first.failed.count, 0);
}

TEST_F(LayerStatisticsTest, CallsThatWereComputedTogetherAreOneComputation) {
  for (const bool is_first : {true, false, false}) {
    const ForwardFacts facts = {.batch_calls = 3,
                                .is_first_call = is_first,
                                .layer_id = 1,
                                .weights_version = 1,
                                .images = 1};
    statistics_.Count({"up", true, facts, kTimes, 10us});
  }
  EXPECT_EQ(statistics_.Of("up", 1)[0].images, 3);
  EXPECT_EQ(statistics_.Of("up", 1)[0].computations, 1);
}

TEST_F(LayerStatisticsTest, TellsVersionsApartInTheirOrder) {
  Answer("up", 1, 2);
  Answer("up", 1, 1);
  Fail("up", 1, 1);
  const auto versions = statistics_.Of("up", 1);
  EXPECT_THAT(versions, ElementsAre(Field(&VersionStatistics::version, 1),
                                    Field(&VersionStatistics::version, 2)));
  EXPECT_EQ(versions[0].failed.count, 1);
  EXPECT_EQ(versions[0].failed.time, 5us);
  EXPECT_EQ(versions[1].failed.count, 0);
}

TEST_F(LayerStatisticsTest, AFailureBeforeTheLayerWasFoundCountsForTheNewestVersion) {
  Fail("up", 0, 0);
  EXPECT_THAT(statistics_.Of("up", 0), IsEmpty()) << "names are not to be made up by callers";
  Answer("up", 1, 4);
  Fail("up", 0, 0);
  EXPECT_EQ(statistics_.Of("up", 1)[0].failed.count, 1);
}

TEST_F(LayerStatisticsTest, RemembersTheNewestVersions) {
  constexpr auto kMost = static_cast<int64_t>(LayerStatistics::kMaxVersions);
  for (int64_t version = 1; version <= kMost + 2; ++version) Answer("up", 1, version);
  Answer("up", 1, 1);
  const auto versions = statistics_.Of("up", 1);
  ASSERT_THAT(versions, SizeIs(kMost));
  EXPECT_EQ(versions.front().version, 3);
  EXPECT_EQ(versions.back().version, kMost + 2);
  EXPECT_EQ(versions.back().answered.count, 1);
}

TEST_F(LayerStatisticsTest, RemembersTheLayersThatWereCalledLast) {
  for (const char* layer : {"a", "b", "c", "a", "d"}) Answer(layer, 1, 1);
  EXPECT_THAT(statistics_.Of("b", 1), IsEmpty());
  for (const char* layer : {"a", "c", "d"}) EXPECT_THAT(statistics_.Of(layer, 1), SizeIs(1));
}

TEST_F(LayerStatisticsTest, ANewLayerOfTheSameNameBeginsAnew) {
  Answer("up", 1, 5);
  EXPECT_THAT(statistics_.Of("up", 2), IsEmpty());
  Answer("up", 2, 1);
  EXPECT_THAT(statistics_.Of("up", 2), ElementsAre(Field(&VersionStatistics::version, 1)));
  // A call that still ran with the one before.
  Answer("up", 1, 5);
  EXPECT_THAT(statistics_.Of("up", 2), SizeIs(1));
  EXPECT_THAT(statistics_.Of("up", 1), IsEmpty());
}

}  // namespace
}  // namespace tconv::server
