#include "tests/replicas/load.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "tests/support/small_layer.h"
#include "tests/support/status_matchers.h"

namespace tconv::testing {
namespace {

using std::chrono::duration;
using std::chrono::steady_clock;

constexpr int kLayers = 4;
constexpr int64_t kFirstVersion = 1;
constexpr std::chrono::minutes kPatience(2);

std::string LayerName(int number) { return fmt::format("layer{}", number % kLayers); }

// No two writers set the same; small enough to be exact, also threefold.
float ValueFor(int64_t version, int writer) { return static_cast<float>(version * 4 + writer); }

bool MayBeValueOf(float value, int64_t version) {
  return static_cast<int64_t>(value) / 4 == version;
}

// What all elements are; nothing when they differ.
std::optional<float> CommonValue(const Tensor& tensor) {
  const auto values = *tensor.values<float>();
  const bool is_common = std::all_of(values.begin(), values.end(),
                                     [&](float value) { return value == values.front(); });
  return is_common ? std::optional(values.front()) : std::nullopt;
}

}  // namespace

Load::Load(std::vector<Client> clients, int readers) : clients_(std::move(clients)) {
  for (int i = 0; i < kLayers; ++i) {
    const float value = ValueFor(kFirstVersion, 0);
    EXPECT_THAT(clients_.front().Create(SmallLayer(LayerName(i), value)), IsOk());
    ledger_.Acknowledge(LayerName(i), kFirstVersion, value);
  }
  int number = 0;
  for (const Client& client : clients_) {
    threads_.emplace_back([this, &client, number] { Write(client, number); });
    for (int i = 0; i < readers; ++i) {
      threads_.emplace_back([this, &client, number, i] { Read(client, number + i); });
    }
    ++number;
  }
}

bool Load::AwaitProgress(int64_t forwards, int64_t writes) {
  const auto deadline = steady_clock::now() + kPatience;
  server::MutexLock lock(mutex_);
  forwards += figures_.forwards;
  writes += figures_.writes;
  while (figures_.forwards < forwards || figures_.writes < writes) {
    if (!progress_.WaitUntil(mutex_, deadline)) return false;
  }
  return true;
}

bool Load::IsRight(const std::string& layer, const ForwardResult& answer) const {
  const std::optional<float> sum = CommonValue(answer.output);
  if (!sum.has_value()) return false;
  const std::optional<float> known = ledger_.ValueOf(layer, answer.weights_version);
  return known ? *sum == 3 * *known : MayBeValueOf(*sum / 3, answer.weights_version);
}

void Load::Read(const Client& client, int number) {
  for (int turn = number; !is_stopping_; ++turn) {
    const std::string layer = LayerName(turn);
    const int64_t least = number % 2 == 0 ? ledger_.LatestOf(layer) : 0;
    const auto start = steady_clock::now();
    const auto answer = client.Forward(layer, SmallInput(), {.min_version = least});
    if (answer.ok()) {
      NoteAnswer(IsRight(layer, *answer), answer->weights_version < least,
                 steady_clock::now() - start);
    } else {
      NoteFailure(answer.status());
    }
  }
}

void Load::NoteAnswer(bool is_right, bool is_stale, steady_clock::duration time) {
  server::MutexLock lock(mutex_);
  ++figures_.forwards;
  if (!is_right) ++figures_.wrong;
  if (is_stale) ++figures_.stale;
  latencies_ms_.push_back(duration<double, std::milli>(time).count());
  progress_.NotifyAll();
}

void Load::NoteFailure(const absl::Status& status) {
  server::MutexLock lock(mutex_);
  ++figures_.failed;
  ++figures_.errors[status.ToString()];
}

void Load::Write(const Client& client, int number) {
  for (int turn = 0; !is_stopping_; ++turn) WriteOnce(client, LayerName(turn), number);
}

void Load::WriteOnce(const Client& client, const std::string& layer, int number) {
  const int64_t version = ledger_.LatestOf(layer);
  const float value = ValueFor(version + 1, number);
  const auto written = client.SetWeights(layer, SmallWeights(value), version);
  if (written.ok()) {
    Acknowledge(layer, *written, value);
    Count(&Figures::writes);
  } else if (absl::IsAborted(written.status())) {
    Count(&Figures::conflicts);
    Learn(client, layer);
  } else if (absl::IsUnavailable(written.status())) {
    Count(&Figures::refused);
    Learn(client, layer);
  } else {
    NoteFailure(written.status());
  }
}

void Load::Count(int64_t Figures::*figure) {
  server::MutexLock lock(mutex_);
  ++(figures_.*figure);
  progress_.NotifyAll();
}

void Load::Learn(const Client& client, const std::string& layer) {
  const auto held = client.GetWeights(layer);
  if (!held.ok()) return NoteFailure(held.status());
  const std::optional<float> value = CommonValue(held->weights.kernel);
  Acknowledge(layer, held->version, value.value_or(0));
}

void Load::Acknowledge(const std::string& layer, int64_t version, float value) {
  if (!ledger_.Acknowledge(layer, version, value)) Count(&Figures::lost);
}

void Load::CheckLastWrites() {
  for (int i = 0; i < kLayers; ++i) {
    const std::string layer = LayerName(i);
    const int64_t least = ledger_.LatestOf(layer);
    for (const Client& client : clients_) {
      const auto answer = client.Forward(layer, SmallInput(), {.min_version = least});
      const bool is_there =
          answer.ok() && answer->weights_version >= least && IsRight(layer, *answer);
      if (!is_there) Count(&Figures::lost);
    }
  }
}

Figures Load::Stop() {
  is_stopping_ = true;
  const bool has_run = !threads_.empty();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  if (has_run) CheckLastWrites();
  server::MutexLock lock(mutex_);
  std::sort(latencies_ms_.begin(), latencies_ms_.end());
  if (!latencies_ms_.empty()) {
    figures_.median_ms = latencies_ms_[latencies_ms_.size() / 2];
    figures_.worst_ms = latencies_ms_.back();
  }
  return figures_;
}

}  // namespace tconv::testing
