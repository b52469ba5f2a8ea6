// kill -9 while chains come and go: what was acknowledged is there, and whatever chain is
// there has its layers.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/client.h>

#include <cstdio>
#include <optional>
#include <string>

#include "tests/support/crash_rounds.h"
#include "tests/support/small_layer.h"
#include "tests/support/status_matchers.h"

namespace tconv::testing {
namespace {

using absl::StatusCode;

// Makes a layer, a chain of it, and deletes both, again and again.
class Builder {
 public:
  explicit Builder(int index)
      : layer_(fmt::format("layer {}", index)), chain_(fmt::format("chain {}", index)) {}

  void Run(DoomedServer& server) {
    const Client client(server.target());
    for (;; phase_ = (phase_ + 1) % kPhases) {
      const absl::Status status = Step(client);
      if (!status.ok()) {
        server.NoteFailure(status);
        is_unsure_ = true;
        return;
      }
      ++acknowledged_;
      server.NoteAnswer();
    }
  }

  // The step that failed may have been made, or not.
  void Verify(const Client& client) {
    const auto chain = client.GetChain(chain_);
    const auto layer = client.Get(layer_);
    const int found = chain.ok() ? 2 : (layer.ok() ? 1 : 0);
    if (chain.ok()) {
      EXPECT_THAT(layer, IsOk());
      EXPECT_THAT(client.Forward(chain_, SmallInput()), IsOk());
      EXPECT_THAT(client.Delete(layer_), StatusIs(StatusCode::kFailedPrecondition));
    }
    const auto names_before = [](int phase) { return phase == kPhases - 1 ? 1 : phase; };
    const int before = names_before(phase_);
    const int after = names_before((phase_ + 1) % kPhases);
    EXPECT_TRUE(found == before || (is_unsure_ && found == after)) << found << " at " << phase_;
    if (found != before) phase_ = (phase_ + 1) % kPhases;
    is_unsure_ = false;
  }

  int acknowledged() const { return acknowledged_; }

 private:
  // From nothing to a layer, to a chain as well, to the layer alone, to nothing.
  static constexpr int kPhases = 4;

  absl::Status Step(const Client& client) const {
    switch (phase_) {
      case 0:
        return client.Create(SmallLayer(layer_, 1)).status();
      case 1:
        return client.CreateChain(chain_, {layer_}).status();
      case 2:
        return client.DeleteChain(chain_);
      default:
        return client.Delete(layer_);
    }
  }

  const std::string layer_;
  const std::string chain_;
  int phase_ = 0;
  bool is_unsure_ = false;
  int acknowledged_ = 0;
};

class ChainCrashTest : public CrashRoundsTest<Builder> {};

TEST_F(ChainCrashTest, EveryAcknowledgedChainSurvivesWithItsLayers) {
  for (int i = 0; i < 3; ++i) workers_.emplace_back(i);
  const int rounds = RunRounds(20, std::chrono::seconds(20), [&](const std::string& target) {
    const Client client(target);
    for (Builder& builder : workers_) builder.Verify(client);
  });
  int acknowledged = 0;
  for (const Builder& builder : workers_) acknowledged += builder.acknowledged();
  std::printf("crash: %d rounds of kill -9, %d acknowledged changes checked\n", rounds,
              acknowledged);
}

}  // namespace
}  // namespace tconv::testing
