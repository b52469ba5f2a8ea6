// A client of several servers that are replicas of each other.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/client.h>

#include <algorithm>
#include <array>
#include <string>

#include "tests/support/status_matchers.h"
#include "tests/unit/client/fake_service.h"

namespace tconv {
namespace {

using std::chrono::milliseconds;
using tconv::testing::FakeServer;
using tconv::testing::IsOk;

class ReplicasTest : public ::testing::Test {
 protected:
  ReplicasTest() {
    // The client meets the replicas one after the other.
    while (std::any_of(servers_.begin(), servers_.end(),
                       [](const FakeServer& server) { return server.service.calls == 0; })) {
      Call();
    }
  }

  std::string Target() const {
    std::string target = "ipv4:";
    for (const FakeServer& server : servers_) target += server.target + ",";
    target.pop_back();
    return target;
  }

  void Call() {
    EXPECT_THAT(client_.Forward("echo", *Tensor::FromValues<float>({1}, {1})), IsOk());
  }

  std::array<FakeServer, 3> servers_;
  const Client client_{
      Target(),
      {.retry = {.attempts = 4, .first_delay = milliseconds(1), .max_delay = milliseconds(2)}}};
};

TEST_F(ReplicasTest, CallsTakeTurns) {
  for (FakeServer& server : servers_) server.service.calls = 0;
  for (int i = 0; i < 30; ++i) Call();
  for (const FakeServer& server : servers_) EXPECT_EQ(server.service.calls, 10);
}

TEST_F(ReplicasTest, AReplicaThatDoesNotServeIsLeftOut) {
  FakeServer& drained = servers_[1];
  drained.server->GetHealthCheckService()->SetServingStatus(false);
  int before = 0;
  do {
    before = drained.service.calls;
    for (int i = 0; i < 3; ++i) Call();
  } while (drained.service.calls != before);
  drained.server->GetHealthCheckService()->SetServingStatus(true);
  while (drained.service.calls == before) Call();
}

TEST_F(ReplicasTest, ACallThatFailsIsRepeatedAtAnother) {
  constexpr int kCalls = 12;
  FakeServer& failing = servers_[0];
  failing.service.failures = kCalls;
  for (int i = 0; i < kCalls; ++i) Call();
  EXPECT_LT(failing.service.failures, kCalls);
}

TEST_F(ReplicasTest, AReplicaThatEndsIsNotMissed) {
  servers_[2].server->Shutdown(std::chrono::system_clock::now());
  for (int i = 0; i < 30; ++i) Call();
}

}  // namespace
}  // namespace tconv
