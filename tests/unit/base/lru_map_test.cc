#include "server/base/lru_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::tconv::testing::IsOk;
using ::tconv::testing::StatusIs;

class LruMapTest : public ::testing::Test {
 protected:
  using Map = LruMap<std::string, std::string>;

  // Asks for `key`; a missing value takes `bytes`, and its parts.
  std::string Get(const std::string& key, int64_t bytes = 10,
                  const std::vector<SharedPart>& parts = {}, const CacheShare& share = {}) {
    return **map_.GetOrBuild(key, [&]() -> StatusOr<Map::Built> {
      ++builds_;
      return Map::Built{std::make_shared<const std::string>("value of " + key), bytes, parts,
                        share};
    });
  }

  std::vector<std::string> Held() const {
    std::vector<std::string> held;
    for (const auto& value : map_.FindIf([](const std::string&) { return true; })) {
      held.push_back(*value);
    }
    return held;
  }

  Map map_{30};
  std::atomic<int> builds_ = 0;
};

TEST_F(LruMapTest, BuildsAValueOnce) {
  EXPECT_EQ(Get("a"), "value of a");
  EXPECT_EQ(Get("a"), "value of a");
  EXPECT_EQ(builds_, 1);
}

TEST_F(LruMapTest, ForgetsTheLeastRecentlyUsedBeyondItsCapacity) {
  for (const char* key : {"a", "b", "c"}) Get(key);
  Get("a");
  Get("d");
  EXPECT_THAT(Held(), ::testing::ElementsAre("value of d", "value of a", "value of c"));
  EXPECT_EQ(map_.bytes_held(), 30);
}

TEST_F(LruMapTest, AnOwnerBeyondItsShareLosesValuesOfItsOwn) {
  const CacheShare share{"owner", 20};
  Get("other");
  Get("a", 10, {}, share);
  Get("b", 8, {}, share);
  Get("a", 10, {}, share);
  Get("c", 5, {}, share);
  EXPECT_THAT(Held(), ::testing::ElementsAre("value of c", "value of a", "value of other"));
}

TEST_F(LruMapTest, AValueLargerThanTheShareOfItsOwnerIsNotKept) {
  Get("a", 5, {}, {"owner", 10});
  Get("b", 11, {}, {"owner", 10});
  EXPECT_THAT(Held(), ::testing::ElementsAre("value of a"));
}

TEST_F(LruMapTest, PartsCountOnceForTheShareOfAnOwner) {
  const int part = 0;
  const CacheShare share{"owner", 20};
  Get("a", 5, {{&part, 10}}, share);
  Get("b", 5, {{&part, 10}}, share);
  EXPECT_THAT(Held(), ::testing::ElementsAre("value of b", "value of a"));
  Get("c", 1, {}, share);
  EXPECT_THAT(Held(), ::testing::ElementsAre("value of c", "value of b"));
}

TEST_F(LruMapTest, MakesRoomForALargeValue) {
  for (const char* key : {"a", "b", "c"}) Get(key);
  Get("large", 25);
  EXPECT_THAT(Held(), ::testing::ElementsAre("value of large"));
}

TEST_F(LruMapTest, ReturnsButDoesNotKeepAValueLargerThanItself) {
  Get("a");
  EXPECT_EQ(Get("huge", 31), "value of huge");
  EXPECT_THAT(Held(), ::testing::ElementsAre("value of a"));
}

TEST_F(LruMapTest, CountsASharedPartOnceWhateverValueGoesFirst) {
  const int part = 0;
  for (const std::vector<std::string>& order :
       {std::vector<std::string>{"a", "b", "c"}, {"b", "c", "a"}, {"c", "a", "b"}}) {
    int64_t expected = 10;
    for (const char* key : {"a", "b", "c"}) {
      Get(key, 1, {{&part, 10}});
      EXPECT_EQ(map_.bytes_held(), expected += 1);
    }
    for (const std::string& key : order) {
      expected -= key == order.back() ? 11 : 1;
      map_.EraseIf([&](const std::string& held) { return held == key; });
      EXPECT_EQ(map_.bytes_held(), expected) << key;
    }
  }
}

TEST_F(LruMapTest, MakesRoomForParts) {
  const int parts[2] = {};
  Get("a", 1, {{&parts[0], 10}});
  Get("b", 1, {{&parts[0], 10}});
  Get("c", 1, {{&parts[1], 25}});
  EXPECT_THAT(Held(), ::testing::ElementsAre("value of c"));
  EXPECT_EQ(map_.bytes_held(), 26);
}

TEST_F(LruMapTest, DoesNotKeepAValueWhosePartsAreLargerThanItself) {
  const int part = 0;
  EXPECT_EQ(Get("huge", 1, {{&part, 30}}), "value of huge");
  EXPECT_THAT(Held(), ::testing::IsEmpty());
}

TEST_F(LruMapTest, DoesNotKeepErrors) {
  const auto fail = []() -> StatusOr<Map::Built> { return absl::InternalError("no"); };
  EXPECT_THAT(map_.GetOrBuild("a", fail), StatusIs(StatusCode::kInternal));
  EXPECT_EQ(Get("a"), "value of a");
}

TEST_F(LruMapTest, ForgottenValuesLiveOnWithTheirUsers) {
  const auto value = map_.GetOrBuild("a", []() -> StatusOr<Map::Built> {
    return Map::Built{std::make_shared<const std::string>("kept"), 10};
  });
  map_.EraseIf([](const std::string& key) { return key == "a"; });
  EXPECT_EQ(map_.bytes_held(), 0);
  EXPECT_EQ(**value, "kept");
}

TEST_F(LruMapTest, ConcurrentCallersShareOneBuild) {
  constexpr int kCallers = 8;
  std::latch all_asked(kCallers);
  std::vector<std::thread> callers;
  for (int i = 0; i < kCallers; ++i) {
    callers.emplace_back([&] {
      all_asked.arrive_and_wait();
      EXPECT_EQ(Get("a"), "value of a");
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(builds_, 1);
}

TEST_F(LruMapTest, ErasingWhileBuildingPreventsKeeping) {
  const auto value = map_.GetOrBuild("a", [&]() -> StatusOr<Map::Built> {
    map_.EraseIf([](const std::string& key) { return key == "a"; });
    return Map::Built{std::make_shared<const std::string>("late"), 10};
  });
  ASSERT_THAT(value, IsOk());
  EXPECT_THAT(Held(), ::testing::IsEmpty());
}

TEST_F(LruMapTest, AValueThatIsPutTakesThePlaceOfTheOneBefore) {
  Get("a", 20);
  map_.Put("a", {std::make_shared<const std::string>("another"), 10, {}});
  EXPECT_EQ(Get("a"), "another");
  EXPECT_EQ(map_.bytes_held(), 10);
  map_.Erase("a");
  EXPECT_EQ(map_.bytes_held(), 0);
  EXPECT_EQ(Get("a"), "value of a");
}

TEST_F(LruMapTest, AValueThatIsPutOutlivesTheOneUnderConstruction) {
  const auto built = map_.GetOrBuild("a", [&]() -> StatusOr<Map::Built> {
    map_.Put("a", {std::make_shared<const std::string>("put"), 10, {}});
    return Map::Built{std::make_shared<const std::string>("built"), 10, {}};
  });
  EXPECT_EQ(**built, "built");
  EXPECT_EQ(Get("a"), "put");
}

}  // namespace
}  // namespace tconv::server
