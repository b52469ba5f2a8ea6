// Chains whose layers change while they are used.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/store/memory_store.h"
#include "tests/support/queued_forward.h"
#include "tests/support/replica.h"
#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::Replica;
using testing::StatusIs;

class ChainVersionsTest : public ::testing::Test {
 protected:
  // Two layers that multiply by one, behind each other.
  void CreateChain(Replica& replica) {
    ASSERT_THAT(replica.Create("a", 1), IsOk());
    ASSERT_THAT(replica.Create("b", 1), IsOk());
    ASSERT_THAT(
        replica.host().CreateChain({"chain", {ChainDraft::Step("a"), ChainDraft::Step("b")}}),
        IsOk());
  }

  MemoryStore store_{int64_t{1} << 24};
};

// The factors are the versions, and that of "a" is always set first: whoever sees
// version 2v has seen v and v, whoever sees 2v + 1 has seen v + 1 and v.
TEST_F(ChainVersionsTest, NoCallMixesStatesThatWereNotServedTogether) {
  Replica replica(store_);
  CreateChain(replica);
  constexpr int kVersions = 400;
  std::atomic<bool> done = false;
  std::atomic<int> calls = 0;
  std::vector<std::jthread> callers;
  for (int i = 0; i < 3; ++i) {
    callers.emplace_back([&] {
      while (!done) {
        const auto answer = replica.Apply("chain");
        if (answer.status().code() == StatusCode::kAborted) continue;
        ASSERT_THAT(answer, IsOk());
        const auto a = static_cast<float>((answer->version + 1) / 2);
        const auto b = static_cast<float>(answer->version / 2);
        ASSERT_EQ(answer->factor, a * b) << "at version " << answer->version;
        ++calls;
      }
    });
  }
  for (int version = 2; version <= kVersions; ++version) {
    ASSERT_THAT(replica.Set("a", static_cast<float>(version)), IsOk());
    ASSERT_THAT(replica.Set("b", static_cast<float>(version)), IsOk());
  }
  while (calls == 0) std::this_thread::yield();
  done = true;
  callers.clear();
  EXPECT_GT(calls, 0);
}

TEST_F(ChainVersionsTest, OtherServersFollow) {
  Replica writer(store_);
  Replica reader(store_);
  CreateChain(writer);
  EXPECT_EQ(reader.Apply("chain")->factor, 1);
  ASSERT_THAT(writer.Set("b", 5), IsOk());
  while (reader.Apply("chain")->version < 3) std::this_thread::yield();
  EXPECT_EQ(reader.Apply("chain", 3)->factor, 5);
  EXPECT_THAT(reader.host().Delete("a"),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("chain \"chain\"")));
  ASSERT_THAT(reader.host().DeleteChain("chain"), IsOk());
  // The other may have been told of nothing yet: its look at the store tells.
  EXPECT_THAT(writer.host().DeleteChain("chain"), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(writer.Apply("chain"), StatusIs(StatusCode::kNotFound));
}

TEST_F(ChainVersionsTest, ANameGoesFromALayerToAChainAndBack) {
  Replica writer(store_);
  Replica reader(store_);
  ASSERT_THAT(writer.Create("a", 3), IsOk());
  ASSERT_THAT(writer.Create("name", 2), IsOk());
  EXPECT_EQ(reader.Apply("name")->factor, 2);
  ASSERT_THAT(writer.host().Delete("name"), IsOk());
  ASSERT_THAT(writer.host().CreateChain({"name", {ChainDraft::Step("a")}}), IsOk());
  while (reader.Apply("name").value_or(Replica::Answer()).factor != 3) std::this_thread::yield();
  ASSERT_THAT(writer.host().DeleteChain("name"), IsOk());
  ASSERT_THAT(writer.Create("name", 7), IsOk());
  while (reader.Apply("name").value_or(Replica::Answer()).factor != 7) std::this_thread::yield();
}

}  // namespace
}  // namespace tconv::server
