// Chains of two servers that share a database.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/client.h>

#include <memory>
#include <string>
#include <thread>

#include "tests/support/postgres_server.h"
#include "tests/support/small_layer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_server.h"

namespace tconv::testing {
namespace {

using absl::StatusCode;
using ::testing::Each;
using ::testing::HasSubstr;

class ChainReplicasTest : public ::testing::Test {
 protected:
  std::unique_ptr<TestServer> Start() {
    server::ServerOptions options = DefaultOptions();
    options.store = address_;
    return TestServer::Start(options);
  }

  PostgresServer postgres_;
  const std::string address_ = postgres_.NewDatabase();
  const std::unique_ptr<TestServer> first_ = Start();
  const std::unique_ptr<TestServer> second_ = Start();
  const Client one_{first_->target()};
  const Client other_{second_->target()};
};

TEST_F(ChainReplicasTest, EachServesWhatTheOtherMakes) {
  ASSERT_THAT(one_.Create(SmallLayer("up", 1)), IsOk());
  ASSERT_THAT(one_.CreateChain("decoder", {"up"}), IsOk());
  const auto result = other_.Forward("decoder", SmallInput());
  ASSERT_THAT(result, IsOk());
  EXPECT_THAT(*result->output.values<float>(), Each(3.0F));

  ASSERT_THAT(one_.SetWeights("up", SmallWeights(2)), IsOk());
  ForwardOptions options;
  options.min_version = 2;
  const auto newer = other_.Forward("decoder", SmallInput(), options);
  ASSERT_THAT(newer, IsOk());
  EXPECT_THAT(*newer->output.values<float>(), Each(6.0F));

  EXPECT_THAT(other_.Delete("up"),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("chain \"decoder\"")));
  ASSERT_THAT(other_.DeleteChain("decoder"), IsOk());
  EXPECT_THAT(one_.DeleteChain("decoder"), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(one_.Delete("up"), IsOk());
}

// On one server a layer is deleted while the other makes a chain of it: one of both does
// not happen.
TEST_F(ChainReplicasTest, NoChainIsLeftWithoutItsLayer) {
  for (int round = 0; round < 10; ++round) {
    ASSERT_THAT(one_.Create(SmallLayer("up", 1)), IsOk());
    ASSERT_THAT(other_.Get("up"), IsOk());
    absl::Status deleted;
    absl::Status created;
    {
      const std::jthread deleter([&] { deleted = one_.Delete("up"); });
      created = other_.CreateChain("decoder", {"up"}).status();
    }
    EXPECT_NE(created.ok(), deleted.ok()) << created << " and " << deleted;
    if (created.ok()) {
      EXPECT_THAT(other_.Forward("decoder", SmallInput()), IsOk());
      ASSERT_THAT(one_.DeleteChain("decoder"), IsOk());
      ASSERT_THAT(one_.Delete("up"), IsOk());
    }
  }
}

}  // namespace
}  // namespace tconv::testing
