// What users of several replicas notice when one is killed, when one is drained
// and when PostgreSQL is restarted: nothing. TCONV_REPLICAS_CALLS says how many calls
// of Forward have to succeed after each of these.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <string>

#include "tests/replicas/cluster.h"
#include "tests/replicas/load.h"
#include "tests/support/small_layer.h"
#include "tests/support/status_matchers.h"

namespace tconv::testing {
namespace {

constexpr int kReadersOfAClient = 3;
constexpr int64_t kWrites = 20;

int64_t CallsAfterEvent() {
  const char* text = std::getenv("TCONV_REPLICAS_CALLS");
  return text == nullptr ? 200 : std::max(1, std::atoi(text));
}

void Print(const Figures& figures) {
  std::cout << fmt::format(
      "Forward:    {} answered ({:.1f} ms median, {:.0f} ms at worst), {} failed, {} wrong, "
      "{} older than asked for\n"
      "SetWeights: {} acknowledged, {} lost, {} came second, {} refused or unanswered\n",
      figures.forwards, figures.median_ms, figures.worst_ms, figures.failed, figures.wrong,
      figures.stale, figures.writes, figures.lost, figures.conflicts, figures.refused);
  for (const auto& [message, count] : figures.errors) {
    std::cout << fmt::format("failed {} times: {}\n", count, message);
  }
}

TEST(ReplicasTest, NoAnswerIsWrongNoWriteIsLostAndNoCallFailsWhateverHappens) {
  Cluster cluster;
  ASSERT_FALSE(HasFailure());
  Load load({cluster.BalancingClient(), cluster.BalancedClient()}, kReadersOfAClient);
  const struct {
    const char* what;
    std::function<void()> action;
    int64_t writes;
  } kEvents[] = {
      {"nothing happens", [] {}, kWrites},
      {"a replica is killed", [&] { cluster.KillReplica(0); }, kWrites},
      {"a replica is drained", [&] { EXPECT_EQ(cluster.DrainReplica(1), 0); }, kWrites},
      {"PostgreSQL is stopped", [&] { cluster.StopDatabase(); }, 0},
      {"PostgreSQL is started", [&] { cluster.StartDatabase(); }, kWrites},
  };
  for (const auto& event : kEvents) {
    std::cout << event.what << std::endl;
    event.action();
    EXPECT_TRUE(load.AwaitProgress(CallsAfterEvent(), event.writes)) << event.what;
  }
  const Figures figures = load.Stop();
  Print(figures);
  EXPECT_EQ(figures.failed, 0);
  EXPECT_EQ(figures.wrong, 0);
  EXPECT_EQ(figures.stale, 0);
  EXPECT_EQ(figures.lost, 0);
}

// Whoever computes a layer has plans for it.
size_t ReplicasThatCompute(const Cluster& cluster, const std::string& layer) {
  size_t count = 0;
  for (size_t replica = 0; replica < Cluster::kReplicas; ++replica) {
    const auto described = cluster.ClientOf(replica).Get(layer);
    EXPECT_THAT(described, IsOk());
    if (described.ok() && described->plans_size() > 0) ++count;
  }
  return count;
}

TEST(ReplicasTest, HaproxySendsTheCallsOfALayerToOneReplica) {
  const Cluster cluster;
  ASSERT_FALSE(HasFailure());
  const struct {
    const char* by;
    Client client;
    size_t replicas;
  } kCases[] = {
      {"haproxy", cluster.BalancedClient(), 1},
      {"the client", cluster.BalancingClient(), Cluster::kReplicas},
  };
  for (const auto& test : kCases) {
    const std::string layer = fmt::format("balanced by {}", test.by);
    ASSERT_THAT(test.client.Create(SmallLayer(layer, 1)), IsOk());
    // The client meets the replicas one after the other.
    while (ReplicasThatCompute(cluster, layer) < test.replicas) {
      ASSERT_THAT(test.client.Forward(layer, SmallInput()), IsOk());
    }
    for (int i = 0; i < 10; ++i) ASSERT_THAT(test.client.Forward(layer, SmallInput()), IsOk());
    EXPECT_EQ(ReplicasThatCompute(cluster, layer), test.replicas) << test.by;
  }
}

}  // namespace
}  // namespace tconv::testing
