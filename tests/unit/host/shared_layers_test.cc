// What hosts that share a store may rely on.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "server/store/memory_store.h"
#include "tests/support/any_name.h"
#include "tests/support/queued_forward.h"
#include "tests/support/replica.h"
#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using tconv::testing::IsOk;
using tconv::testing::IsOkAndHolds;
using tconv::testing::LayerConfigBuilder;
using tconv::testing::OneByOne;
using tconv::testing::QueuedForward;
using tconv::testing::Replica;
using tconv::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using Answer = Replica::Answer;

class SharedLayersTest : public ::testing::Test {
 protected:
  // Sends a Forward of 1 to the second replica.
  std::future<StatusOr<ForwardResult>> CallB(int64_t min_version,
                                             std::chrono::milliseconds timeout) {
    return std::async(std::launch::async, [=, this] {
      const float x = 1;
      const ConstTensorView pixel{DType::kFloat32, Shape({1, 1, 1, 1}),
                                  reinterpret_cast<const std::byte*>(&x)};
      const Tensor input = Tensor::Converted(pixel, DType::kFloat32).value();
      QueuedForward call(
          b_.host(), queue_, "up", input,
          {.min_version = min_version, .deadline = std::chrono::system_clock::now() + timeout});
      return call.Call();
    });
  }

  static bool IsStoreAway(const HealthSource& health) { return !health.StoreStatus().ok(); }
  static bool IsStoreThere(const HealthSource& health) { return health.StoreStatus().ok(); }

  MemoryStore store_{int64_t{1} << 26};
  Replica a_{store_};
  Replica b_{store_};
  AdmissionQueue queue_{{.handler_threads = 2}};
};

TEST_F(SharedLayersTest, EveryReplicaServesEveryLayerAtOnce) {
  ASSERT_THAT(a_.Create("up", 2), IsOk());
  EXPECT_THAT(b_.Apply("up"), IsOkAndHolds(Answer{2, 1}));
  EXPECT_THAT(b_.host().Get("up"), IsOk());
  Replica late(store_);
  EXPECT_THAT(late.Apply("up"), IsOkAndHolds(Answer{2, 1}));
}

TEST_F(SharedLayersTest, ALayerThatOthersBuiltIsBuilt) {
  ASSERT_THAT(a_.host().Create({"up", LayerConfigBuilder().Build(), {}, {}}), IsOk());
  EXPECT_THAT(b_.Apply("up"), StatusIs(StatusCode::kFailedPrecondition));
  ASSERT_THAT(a_.host().Build("up", PartialShape{-1, -1, -1, 1}), IsOk());
  EXPECT_THAT(b_.Apply("up"), IsOk());
  EXPECT_THAT(b_.host().Build("up", PartialShape{-1, -1, -1, 1}),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("built already")));
}

TEST_F(SharedLayersTest, TheFirstCallsShareOneRead) {
  ASSERT_THAT(a_.Create("up", 2), IsOk());
  b_.link().HoldReads();
  std::vector<std::future<StatusOr<Answer>>> calls;
  for (int i = 0; i < 4; ++i) {
    calls.push_back(std::async(std::launch::async, [&] { return b_.Apply("up"); }));
  }
  b_.link().AwaitReads(1);
  b_.link().ReleaseReads();
  for (auto& call : calls) EXPECT_THAT(call.get(), IsOkAndHolds(Answer{2, 1}));
  EXPECT_EQ(b_.link().reads(), 1);
}

TEST_F(SharedLayersTest, ANewVersionIsLoadedAndPreparedBesideTheOneThatIsServed) {
  ASSERT_THAT(a_.Create("up", 2), IsOk());
  ASSERT_THAT(b_.Apply("up"), IsOk());
  b_.link().HoldReads();
  ASSERT_THAT(a_.Set("up", 3), IsOkAndHolds(2));
  b_.link().AwaitReads(2);
  EXPECT_THAT(b_.Apply("up"), IsOkAndHolds(Answer{2, 1}));
  auto call = CallB(2, std::chrono::minutes(1));
  b_.link().ReleaseReads();
  const auto result = call.get();
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->output.values<float>()[0], 3.0F);
  EXPECT_EQ(b_.link().reads(), 2);
}

TEST_F(SharedLayersTest, PlansAreThereBeforeANewVersionIsServed) {
  ASSERT_THAT(a_.Create("up", 2), IsOk());
  ASSERT_THAT(b_.Apply("up"), IsOk());
  ASSERT_THAT(a_.Set("up", 3), IsOk());
  b_.AwaitHealth([&](const HealthSource&) { return b_.host().Get("up")->weights_version == 2; });
  EXPECT_THAT(b_.host().Get("up")->plans, SizeIs(1));
}

TEST_F(SharedLayersTest, WeightsThatNobodyUsesHereAreNotRead) {
  ASSERT_THAT(a_.Create("up", 2), IsOk());
  ASSERT_THAT(b_.host().Get("up"), IsOk());
  ASSERT_THAT(a_.Set("up", 3), IsOk());
  b_.AwaitHealth([&](const HealthSource&) { return b_.host().Get("up")->weights_version == 2; });
  EXPECT_EQ(b_.link().reads(), 0);
  EXPECT_THAT(b_.Apply("up"), IsOkAndHolds(Answer{3, 2}));
}

TEST_F(SharedLayersTest, ACallWaitsForTheVersionThatItAsksFor) {
  ASSERT_THAT(a_.Create("up", 1), IsOk());
  for (int64_t version = 2; version <= 50; ++version) {
    ASSERT_THAT(a_.Set("up", static_cast<float>(version)), IsOkAndHolds(version));
    const auto result = CallB(version, std::chrono::minutes(1)).get();
    ASSERT_THAT(result, IsOk());
    EXPECT_EQ(result->weights_version, version);
    EXPECT_EQ(result->output.values<float>()[0], static_cast<float>(version));
  }
}

TEST_F(SharedLayersTest, ACallIsNeverAnsweredWithAnOlderVersion) {
  ASSERT_THAT(a_.Create("up", 1), IsOk());
  EXPECT_THAT(b_.Apply("up", 2), StatusIs(StatusCode::kUnavailable, HasSubstr("min_version")));
  const auto begin = std::chrono::steady_clock::now();
  const auto late = CallB(2, std::chrono::milliseconds(300)).get();
  EXPECT_THAT(late, StatusIs(StatusCode::kUnavailable, HasSubstr("at version 1 here")));
  EXPECT_TRUE(RetryDelayOf(late.status()).has_value());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST_F(SharedLayersTest, ACallThatAsksForAVersionOfNoLayerIsToldSo) {
  EXPECT_THAT(CallB(1, std::chrono::minutes(1)).get(), StatusIs(StatusCode::kNotFound));
  b_.link().Cut();
  b_.AwaitHealth(IsStoreAway);
  EXPECT_THAT(CallB(1, std::chrono::minutes(1)).get(), StatusIs(StatusCode::kUnavailable));
}

TEST_F(SharedLayersTest, CallsThatWaitForAVersionHoldNoThread) {
  ASSERT_THAT(a_.Create("up", 1), IsOk());
  std::vector<std::future<StatusOr<ForwardResult>>> waiting;
  for (int i = 0; i < 8; ++i) waiting.push_back(CallB(2, std::chrono::minutes(1)));
  EXPECT_THAT(CallB(0, std::chrono::minutes(1)).get(), IsOk());
  ASSERT_THAT(a_.Set("up", 2), IsOk());
  for (auto& call : waiting) EXPECT_THAT(call.get(), IsOk());
}

TEST_F(SharedLayersTest, ADeletedLayerEndsTheCallsThatWaitForIt) {
  ASSERT_THAT(a_.Create("up", 1), IsOk());
  ASSERT_THAT(b_.Apply("up"), IsOk());
  auto call = CallB(2, std::chrono::minutes(1));
  ASSERT_THAT(a_.host().Delete("up"), IsOk());
  EXPECT_THAT(call.get(), StatusIs(StatusCode::kNotFound));
}

TEST_F(SharedLayersTest, OfTwoChangesOfOneVersionOneIsMade) {
  ASSERT_THAT(a_.Create("up", 1), IsOk());
  ASSERT_THAT(b_.Apply("up"), IsOk());
  EXPECT_THAT(a_.Set("up", 2, 1), IsOkAndHolds(2));
  EXPECT_THAT(b_.Set("up", 3, 1), StatusIs(StatusCode::kAborted, HasSubstr("the stored one is 2")));
  EXPECT_THAT(b_.Set("up", 3, 2), IsOkAndHolds(3));
  EXPECT_THAT(a_.Set("up", 4, 9), StatusIs(StatusCode::kAborted, HasSubstr("the stored one is 3")));
}

TEST_F(SharedLayersTest, ChangesWithoutAConditionAllComeAbout) {
  ASSERT_THAT(a_.Create("up", 1), IsOk());
  constexpr int kChanges = 40;
  const auto change = [&](Replica& replica) {
    for (int i = 0; i < kChanges; ++i) EXPECT_THAT(replica.Set("up", 2), IsOk());
  };
  std::thread other([&] { change(b_); });
  change(a_);
  other.join();
  EXPECT_THAT(a_.Set("up", 7, 1 + 2 * kChanges), IsOk());
}

TEST_F(SharedLayersTest, ALayerThatOthersDeletedIsGone) {
  ASSERT_THAT(a_.Create("up", 1), IsOk());
  ASSERT_THAT(b_.Apply("up"), IsOk());
  ASSERT_THAT(a_.host().Delete("up"), IsOk());
  EXPECT_THAT(b_.Set("up", 2), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(b_.Apply("up"), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(b_.host().Delete("up"), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(b_.host().List("", 10, testing::AnyName).layers, IsEmpty());
}

TEST_F(SharedLayersTest, ANameThatOthersUsedAnewMeansTheNewLayer) {
  ASSERT_THAT(a_.Create("up", 1), IsOk());
  ASSERT_THAT(a_.Set("up", 2), IsOk());
  ASSERT_THAT(b_.Apply("up"), IsOk());
  ASSERT_THAT(a_.host().Delete("up"), IsOk());
  ASSERT_THAT(a_.Create("up", 5), IsOk());
  // A change of the layer before must not hit the new one.
  const auto changed = b_.Set("up", 3, 2);
  EXPECT_THAT(changed, StatusIs(StatusCode::kAborted));
  EXPECT_THAT(b_.Apply("up"), IsOkAndHolds(Answer{5, 1}));
  EXPECT_THAT(b_.Set("up", 3, 1), IsOkAndHolds(2));
}

TEST_F(SharedLayersTest, GeneratedNamesDiffer) {
  std::set<std::string> names;
  for (int i = 0; i < 5; ++i) {
    for (Replica* replica : {&a_, &b_}) {
      const auto layer = replica->host().Create({"", LayerConfigBuilder().Build(), {}, {}});
      ASSERT_THAT(layer, IsOk());
      names.insert(layer->name);
    }
  }
  EXPECT_THAT(names, SizeIs(10));
}

TEST_F(SharedLayersTest, WhatIsLoadedIsServedWhileTheStoreIsAway) {
  ASSERT_THAT(a_.Create("up", 1), IsOk());
  ASSERT_THAT(a_.Create("idle", 1), IsOk());
  ASSERT_THAT(b_.Apply("up"), IsOk());
  ASSERT_THAT(b_.host().Get("idle"), IsOk());
  b_.link().Cut();
  b_.AwaitHealth(IsStoreAway);
  EXPECT_THAT(b_.Apply("up"), IsOkAndHolds(Answer{1, 1}));
  for (const Status& status :
       {b_.Apply("idle").status(), b_.Apply("unknown").status(), b_.Set("up", 2).status(),
        b_.Create("new", 1), b_.host().Delete("up")}) {
    EXPECT_THAT(status, StatusIs(StatusCode::kUnavailable));
    EXPECT_TRUE(RetryDelayOf(status).has_value());
  }
  EXPECT_THAT(b_.host().health().LayerStatus("up"), IsOk());

  ASSERT_THAT(a_.Set("up", 2), IsOk());
  b_.link().Mend();
  b_.AwaitHealth(IsStoreThere);
  EXPECT_THAT(CallB(2, std::chrono::minutes(1)).get(), IsOk());
  EXPECT_THAT(b_.Apply("unknown"), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(b_.Set("up", 3), IsOkAndHolds(3));
}

TEST_F(SharedLayersTest, AVersionThatCannotBeLoadedKeepsTheOldOneAndIsTriedAgain) {
  ASSERT_THAT(a_.Create("up", 1), IsOk());
  ASSERT_THAT(b_.Apply("up"), IsOk());
  b_.link().FailReads(MakeError(StatusCode::kDataLoss, "the digest differs"));
  ASSERT_THAT(a_.Set("up", 2), IsOk());
  b_.AwaitHealth([](const HealthSource& health) {
    return health.LayerStatus("up").code() == StatusCode::kDataLoss;
  });
  EXPECT_THAT(b_.Apply("up"), IsOkAndHolds(Answer{1, 1}));
  EXPECT_THAT(b_.Apply("up", 2), StatusIs(StatusCode::kUnavailable, HasSubstr("digest differs")));
  b_.link().FailReads(OkStatus());
  b_.AwaitHealth([](const HealthSource& health) { return health.LayerStatus("up").ok(); });
  EXPECT_THAT(b_.Apply("up"), IsOkAndHolds(Answer{2, 2}));
}

TEST_F(SharedLayersTest, TheHealthOfALayerIsKnownByItsName) {
  EXPECT_THAT(b_.host().health().LayerStatus("up"), StatusIs(StatusCode::kNotFound));
  ASSERT_THAT(a_.host().Create({"up", LayerConfigBuilder().Build(), {}, {}}), IsOk());
  b_.AwaitHealth([](const HealthSource& health) {
    return health.LayerStatus("up").code() == StatusCode::kFailedPrecondition;
  });
  ASSERT_THAT(a_.host().Build("up", PartialShape{-1, -1, -1, 1}), IsOk());
  b_.AwaitHealth([](const HealthSource& health) { return health.LayerStatus("up").ok(); });
  ASSERT_THAT(a_.host().Delete("up"), IsOk());
  b_.AwaitHealth([](const HealthSource& health) {
    return health.LayerStatus("up").code() == StatusCode::kNotFound;
  });
}

TEST_F(SharedLayersTest, EveryAnswerBelongsToOneVersionAndVersionsOnlyGrow) {
  ASSERT_THAT(a_.Create("up", 1), IsOk());
  constexpr int64_t kLast = 100;
  std::vector<std::thread> readers;
  for (Replica* replica : {&a_, &b_}) {
    readers.emplace_back([replica] {
      int64_t version = 0;
      while (version < kLast) {
        const auto answer = replica->Apply("up");
        ASSERT_THAT(answer, IsOk());
        ASSERT_GE(answer->version, version);
        version = answer->version;
        ASSERT_EQ(answer->factor, static_cast<float>(version));
      }
    });
  }
  for (int64_t version = 2; version <= kLast; ++version) {
    Replica& writer = version % 2 == 0 ? a_ : b_;
    ASSERT_THAT(writer.Set("up", static_cast<float>(version), version - 1), IsOkAndHolds(version));
  }
  for (std::thread& reader : readers) reader.join();
}

TEST_F(SharedLayersTest, LayersThatComeAndGoAreNeverMixedUp) {
  std::thread owner([&] {
    for (int i = 1; i <= 50; ++i) {
      ASSERT_THAT(a_.Create("up", static_cast<float>(i)), IsOk());
      ASSERT_THAT(a_.Set("up", static_cast<float>(-i)), IsOkAndHolds(2));
      ASSERT_THAT(a_.host().Delete("up"), IsOk());
    }
    ASSERT_THAT(a_.Create("up", 51), IsOk());
  });
  float life = 0;
  while (life < 51) {
    const auto answer = b_.Apply("up");
    if (answer.status().code() == StatusCode::kNotFound) continue;
    ASSERT_THAT(answer, IsOk());
    ASSERT_EQ(answer->version, answer->factor > 0 ? 1 : 2);
    ASSERT_GE(std::abs(answer->factor), life);
    life = std::abs(answer->factor);
  }
  owner.join();
}

}  // namespace
}  // namespace tconv::server
