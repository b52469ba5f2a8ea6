#include "tests/replicas/cluster.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <utility>
#include <vector>

#include "tests/support/status_matchers.h"

namespace tconv::testing {
namespace {

constexpr char kAnyPort[] = "127.0.0.1:0";
// HAProxy asks each replica every half of a second.
constexpr char kDrainDelay[] = "--drain-delay-seconds=2";

}  // namespace

Cluster::Cluster() {
  for (size_t i = 0; i < kReplicas; ++i) StartReplica(i, kAnyPort);
  StartBalancer();
}

void Cluster::StartReplica(size_t number, const std::string& address) {
  replicas_[number] = std::make_unique<ServerProcess>(
      std::vector<std::string>{"--listen=" + address, "--store=" + store_, "--compute-threads=1",
                               "--log-level=warning", kDrainDelay});
  ASSERT_FALSE(replicas_[number]->target().empty()) << replicas_[number]->log();
}

void Cluster::StartBalancer() {
  std::vector<std::string> variables = {"TCONV_BIND=unix@" + folder_ / "haproxy.sock"};
  for (size_t i = 0; i < kReplicas; ++i) {
    variables.push_back("TCONV_REPLICA_" + std::to_string(i + 1) + "=" + replicas_[i]->target());
  }
  balancer_ = std::make_unique<ChildProcess>(
      std::vector<std::string>{TCONV_HAPROXY, "-db", "-f", TCONV_HAPROXY_CONFIG},
      std::move(variables));
  // It listens a little later, and knows the replicas a little after that.
  const Client client = BalancedClient();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!client.CheckHealth().ok()) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << balancer_->log();
  }
}

Client Cluster::BalancingClient() const {
  std::string target = "ipv4:";
  for (const auto& replica : replicas_) target += replica->target() + ",";
  target.pop_back();
  return Client(target);
}

Client Cluster::BalancedClient() const { return Client("unix:" + folder_ / "haproxy.sock"); }

void Cluster::KillReplica(size_t number) {
  const std::string address = replicas_[number]->target();
  replicas_[number]->Signal(SIGKILL);
  replicas_[number]->Wait();
  StartReplica(number, address);
}

int Cluster::DrainReplica(size_t number) {
  const std::string address = replicas_[number]->target();
  replicas_[number]->Signal(SIGTERM);
  const int code = replicas_[number]->Wait();
  StartReplica(number, address);
  return code;
}

}  // namespace tconv::testing
