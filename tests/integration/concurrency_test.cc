// What many clients at once may rely on.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/client.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/small_layer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_server.h"

namespace tconv::testing {
namespace {

using absl::StatusCode;
using ::testing::Each;

constexpr int kClients = 4;

// Runs `work(index)` on several threads at once, each with an own connection.
template <typename Work>
void InParallel(const TestServer& server, Work work) {
  std::vector<std::thread> threads;
  for (int i = 0; i < kClients; ++i) {
    threads.emplace_back([&, i] { work(Client(server.target()), i); });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(ConcurrencyTest, EveryAnswerOfForwardComesFromOneVersionOfTheWeights) {
  const auto server = TestServer::Start();
  ASSERT_THAT(Client(server->target()).Create(SmallLayer("up", 1)), IsOk());
  constexpr int kVersions = 60;
  std::atomic<bool> done = false;
  std::atomic<int> answers = 0;
  InParallel(*server, [&](const Client& client, int index) {
    if (index == 0) {
      // The value of the weights is their version.
      for (int64_t version = 2; version <= kVersions; ++version) {
        EXPECT_THAT(client.SetWeights("up", SmallWeights(static_cast<float>(version))),
                    IsOkAndHolds(version));
      }
      done = true;
      return;
    }
    while (!done) {
      const auto result = client.Forward("up", SmallInput());
      ASSERT_THAT(result, IsOk());
      EXPECT_THAT(*result->output.values<float>(),
                  Each(3.0F * static_cast<float>(result->weights_version)));
      ++answers;
    }
  });
  EXPECT_GT(answers, 0);
}

TEST(ConcurrencyTest, OfTheChangesBasedOnOneVersionExactlyOneIsMade) {
  const auto server = TestServer::Start();
  const Client observer(server->target());
  ASSERT_THAT(observer.Create(SmallLayer("up", 1)), IsOk());
  std::atomic<int> made = 0;
  InParallel(*server, [&](const Client& client, int) {
    for (int attempt = 0; attempt < 20; ++attempt) {
      const int64_t seen = client.Get("up")->weights_version();
      const auto version = client.SetWeights("up", SmallWeights(1), seen);
      if (version.ok()) {
        EXPECT_EQ(*version, seen + 1);
        ++made;
      } else {
        EXPECT_THAT(version, StatusIs(StatusCode::kAborted));
      }
    }
  });
  EXPECT_GE(made, 20);
  EXPECT_EQ(observer.Get("up")->weights_version(), 1 + made);
}

TEST(ConcurrencyTest, OfManyLayersWithOneNameOneIsCreated) {
  const auto server = TestServer::Start();
  std::atomic<int> created = 0;
  InParallel(*server, [&](const Client& client, int) {
    const auto layer = client.Create(SmallLayer("up", 1));
    if (layer.ok()) {
      ++created;
    } else {
      EXPECT_THAT(layer, StatusIs(StatusCode::kAlreadyExists));
    }
  });
  EXPECT_EQ(created, 1);
}

TEST(ConcurrencyTest, ForwardOfManyShapesAtOnceGivesEachItsOwnAnswer) {
  const auto server = TestServer::Start();
  ASSERT_THAT(Client(server->target()).Create(SmallLayer("up", 1)), IsOk());
  InParallel(*server, [&](const Client& client, int index) {
    for (int64_t size = 1; size <= 10; ++size) {
      const int64_t batch = index + 1;
      const auto result = client.Forward("up", Filled({batch, size, 2, 3}, 2));
      ASSERT_THAT(result, IsOk());
      EXPECT_EQ(result->output.shape(), (Shape{batch, 2 * size, 4, 4}));
      EXPECT_THAT(*result->output.values<float>(), Each(6.0F));
    }
  });
}

TEST(ConcurrencyTest, ADeletedLayerFinishesItsCallsOrIsNotFound) {
  const auto server = TestServer::Start();
  const Client owner(server->target());
  ASSERT_THAT(owner.Create(SmallLayer("up", 1)), IsOk());
  InParallel(*server, [&](const Client& client, int index) {
    for (int i = 0; i < 20; ++i) {
      if (index == 0) {
        EXPECT_THAT(client.Delete("up"), IsOk());
        EXPECT_THAT(client.Create(SmallLayer("up", 1)), IsOk());
      } else if (const auto result = client.Forward("up", SmallInput()); result.ok()) {
        EXPECT_THAT(*result->output.values<float>(), Each(3.0F));
      } else {
        EXPECT_THAT(result, StatusIs(StatusCode::kNotFound));
      }
    }
  });
}

TEST(ConcurrencyTest, DescriptionsDoNotWaitForComputations) {
  server::ServerOptions options;
  options.strategy = "reference";
  options.admission.handler_threads = 1;
  const auto server = TestServer::Start(options);
  const Client client(server->target());
  ASSERT_THAT(client.Create(SlowLayer("slow")), IsOk());
  std::vector<std::future<absl::StatusOr<ForwardResult>>> computations;
  for (int i = 0; i < 8; ++i) computations.push_back(client.ForwardAsync("slow", SlowInput()));
  EXPECT_THAT(client.Get("slow"), IsOk());
  EXPECT_THAT(client.List(), IsOk());
  EXPECT_EQ(computations.back().wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  for (auto& computation : computations) EXPECT_THAT(computation.get(), IsOk());
}

}  // namespace
}  // namespace tconv::testing
