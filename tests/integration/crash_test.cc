// kill -9 in the middle of writes: what was acknowledged is there, bit for bit,
// and nothing is there by half.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/client.h>

#include <chrono>
#include <cstdio>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "tests/support/crash_rounds.h"
#include "tests/support/status_matchers.h"

namespace tconv::testing {
namespace {

constexpr int kMaxRounds = 25;
constexpr std::chrono::seconds kTimeLimit(20);
constexpr int kWriters = 3;
constexpr int kLayersOfAWriter = 4;

// What a layer is known to hold; nothing: there is no such layer.
struct StoredWeights {
  int64_t version = 0;
  std::string kernel;
  std::string bias;

  friend bool operator==(const StoredWeights&, const StoredWeights&) = default;
};
using State = std::optional<StoredWeights>;

// A change whose acknowledgement never came: the layer is in the state before
// it or in the one after it.
struct Unanswered {
  std::string layer;
  State after;
};

v1::LayerConfig Config() {
  v1::LayerConfig config;
  config.set_class_name("Conv2DTranspose");
  config.set_filters(64);
  config.add_kernel_size(3);
  config.add_kernel_size(3);
  return config;
}

// Changes layers of its own, one after the other, until the server dies.
class Writer {
 public:
  explicit Writer(int index) : prefix_(fmt::format("writer{}-", index)), random_(index) {}

  void Run(DoomedServer& server) {
    const Client client(server.target());
    for (;;) {
      const std::string layer = fmt::format("{}{}", prefix_, random_() % kLayersOfAWriter);
      State after = NextState(states_[layer]);
      const absl::Status status = Make(client, layer, states_[layer], after);
      if (!status.ok()) {
        server.NoteFailure(status);
        unanswered_ = {layer, std::move(after)};
        return;
      }
      states_[layer] = std::move(after);
      server.NoteAnswer();
      ++acknowledged_;
    }
  }

  // Compares all layers with what is known of them; returns how many there are.
  int Verify(const Client& client) {
    int layers = 0;
    for (auto& [layer, state] : states_) {
      State found = Read(client, layer);
      if (unanswered_.has_value() && unanswered_->layer == layer && found == unanswered_->after) {
        state = std::move(found);
      } else {
        EXPECT_TRUE(found == state) << layer;
      }
      layers += state.has_value() ? 1 : 0;
    }
    unanswered_.reset();
    return layers;
  }

  int acknowledged() const { return acknowledged_; }

 private:
  State NextState(const State& before) {
    if (before.has_value() && random_() % 5 == 0) return std::nullopt;
    const int64_t version = before.has_value() ? before->version + 1 : 1;
    return StoredWeights{version, RandomBytes(3 * 3 * 64 * 32 * 4), RandomBytes(64 * 4)};
  }

  std::string RandomBytes(size_t count) {
    std::string bytes(count, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random_());
    return bytes;
  }

  static absl::Status Make(const Client& client, const std::string& layer, const State& before,
                           const State& after) {
    if (!after.has_value()) return client.Delete(layer);
    Weights weights = {
        .kernel = *Tensor::FromBytes(v1::DATA_TYPE_FLOAT32, {3, 3, 64, 32}, after->kernel),
        .bias = *Tensor::FromBytes(v1::DATA_TYPE_FLOAT32, {64}, after->bias)};
    if (before.has_value()) return client.SetWeights(layer, std::move(weights)).status();
    return client.Create({.name = layer, .definition = Config(), .weights = std::move(weights)})
        .status();
  }

  static State Read(const Client& client, const std::string& layer) {
    const auto answer = client.GetWeights(layer);
    if (!answer.ok()) {
      EXPECT_THAT(answer, StatusIs(absl::StatusCode::kNotFound));
      return std::nullopt;
    }
    return StoredWeights{answer->version, std::string(answer->weights.kernel.bytes()),
                         std::string(answer->weights.bias->bytes())};
  }

  const std::string prefix_;
  std::minstd_rand random_;
  std::map<std::string, State> states_;
  std::optional<Unanswered> unanswered_;
  int acknowledged_ = 0;
};

class CrashTest : public CrashRoundsTest<Writer> {
 protected:
  CrashTest() {
    for (int i = 0; i < kWriters; ++i) workers_.emplace_back(i + 1);
  }

  void Verify(const std::string& target) {
    const Client client(target);
    size_t layers = 0;
    for (Writer& writer : workers_) layers += static_cast<size_t>(writer.Verify(client));
    const auto listed = client.ListAll();
    ASSERT_THAT(listed, IsOk());
    EXPECT_EQ(listed->size(), layers);
  }
};

TEST_F(CrashTest, EveryAcknowledgedChangeSurvivesAndNoneIsHalfMade) {
  const int rounds = RunRounds(kMaxRounds, kTimeLimit, [&](const auto& target) { Verify(target); });
  int acknowledged = 0;
  for (const Writer& writer : workers_) acknowledged += writer.acknowledged();
  std::printf("crash: %d rounds of kill -9, %d acknowledged changes checked\n", rounds,
              acknowledged);
}

}  // namespace
}  // namespace tconv::testing
