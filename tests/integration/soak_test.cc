// Everything at once for a long time: after it the server holds what it held
// before. TCONV_SOAK_SECONDS says for how long.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <tconv/client.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <future>
#include <iostream>
#include <memory>
#include <random>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/bare_client.h"
#include "tests/support/process_memory.h"
#include "tests/support/server_process.h"
#include "tests/support/small_layer.h"
#include "tests/support/status_matchers.h"

namespace tconv::testing {
namespace {

using absl::StatusCode;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr int kWorkers = 6;
constexpr int kLayers = 3;
// Of a run that is long enough to have filled the caches at half time.
constexpr seconds kLongRun(60);
constexpr int64_t kMostGrowthBytes = 64 << 20;
// 8 MiB and more: they travel as streams.
const Shape kHeavyKernel = {2, 2, 1024, 768};

seconds Duration() {
  const char* text = std::getenv("TCONV_SOAK_SECONDS");
  return seconds(text == nullptr ? 4 : std::max(1, std::atoi(text)));
}

bool AllAre(const Tensor& tensor, float value) {
  const auto values = *tensor.values<float>();
  return std::all_of(values.begin(), values.end(), [&](float v) { return v == value; });
}

std::string LayerName(size_t number) { return "layer" + std::to_string(number % kLayers); }

// One of the callers. Every weight of a layer is the version of the weights, so
// that each output of ones tells the version it was computed with.
class Worker {
 public:
  Worker(std::string target, int number)
      : target_(std::move(target)), number_(number), random_(static_cast<unsigned>(number) + 1) {}

  void RunUntil(steady_clock::time_point end) {
    constexpr std::array kActions = {
        &Worker::Forward, &Worker::ForwardMany,  &Worker::ForwardStreamed, &Worker::ForwardLarge,
        &Worker::Change,  &Worker::ReadWeights,  &Worker::ChangeHeavy,     &Worker::GiveUp,
        &Worker::BeLate,  &Worker::VanishInCall, &Worker::VanishInStream,  &Worker::ComeAndGo};
    while (steady_clock::now() < end && !::testing::Test::HasFailure()) {
      (this->*kActions[random_() % kActions.size()])();
      ++actions_;
    }
  }

  int64_t actions() const { return actions_; }

 private:
  Tensor AnyInput() {
    const auto extent = static_cast<int64_t>(1 + random_() % 12);
    return Filled({1 + static_cast<int64_t>(random_() % 3), extent, extent, 3}, 1);
  }

  void Check(const absl::StatusOr<ForwardResult>& result) {
    ASSERT_THAT(result, IsOk());
    EXPECT_TRUE(AllAre(result->output, 3 * static_cast<float>(result->weights_version)));
  }
  // Of a call that its caller may have ended.
  void Check(const absl::StatusOr<ForwardResult>& result, StatusCode ended) {
    if (result.ok()) return Check(result);
    EXPECT_THAT(result, StatusIs(ended));
  }

  void Forward() { Check(client_.Forward(LayerName(random_()), AnyInput())); }

  void ForwardMany() {
    const std::string layer = LayerName(random_());
    const Tensor input = AnyInput();
    std::vector<std::future<absl::StatusOr<ForwardResult>>> calls;
    for (int i = 0; i < 16; ++i) calls.push_back(client_.ForwardAsync(layer, input));
    for (auto& call : calls) Check(call.get());
  }

  void ForwardStreamed() {
    Check(client_.Forward(LayerName(random_()), AnyInput(), {.transfer = Transfer::kStream}));
  }

  // Beyond the size from which on it is a stream.
  void ForwardLarge() {
    if (random_() % 10 != 0) return;
    Check(client_.Forward(LayerName(random_()), Filled({1, 1000, 800, 3}, 1)));
  }

  // Nobody else may have changed the weights meanwhile.
  void Change() {
    const std::string layer = LayerName(random_());
    const auto description = client_.Get(layer);
    ASSERT_THAT(description, IsOk());
    const int64_t version = description->weights_version();
    const auto changed =
        client_.SetWeights(layer, SmallWeights(static_cast<float>(version + 1)), version);
    EXPECT_TRUE(changed.ok() || changed.status().code() == StatusCode::kAborted)
        << changed.status();
  }

  void ReadWeights() {
    const auto answer = client_.GetWeights(LayerName(random_()));
    ASSERT_THAT(answer, IsOk());
    EXPECT_TRUE(AllAre(answer->weights.kernel, static_cast<float>(answer->version)));
  }

  void ChangeHeavy() {
    if (random_() % 10 != 0) return;
    const auto value = static_cast<float>(random_() % 100);
    ASSERT_THAT(client_.SetWeights("heavy", {.kernel = Filled(kHeavyKernel, value)}), IsOk());
    const auto answer = client_.GetWeights("heavy");
    ASSERT_THAT(answer, IsOk());
    EXPECT_TRUE(AllAre(answer->weights.kernel, answer->weights.kernel.values<float>()->front()));
  }

  void GiveUp() {
    std::stop_source caller;
    const Transfer transfer = random_() % 2 == 0 ? Transfer::kMessage : Transfer::kStream;
    auto call =
        client_.ForwardAsync(LayerName(random_()), Filled({4, 64, 64, 3}, 1),
                             {.transfer = transfer, .call = {.cancellation = caller.get_token()}});
    if (random_() % 2 == 0) call.wait_for(milliseconds(1));
    caller.request_stop();
    Check(call.get(), StatusCode::kCancelled);
  }

  void BeLate() {
    const auto timeout = milliseconds(1 + random_() % 4);
    Check(client_.Forward(LayerName(random_()), Filled({4, 64, 64, 3}, 1),
                          {.call = {.timeout = timeout}}),
          StatusCode::kDeadlineExceeded);
  }

  void VanishInCall() {
    v1::ForwardRequest request;
    request.set_name(LayerName(random_()));
    v1::Tensor& input = *request.mutable_input();
    input.set_dtype(v1::DATA_TYPE_FLOAT32);
    for (const int64_t extent : {1, 32, 32, 3}) input.add_shape(extent);
    input.set_data(std::string(32 * 32 * 3 * sizeof(float), '\0'));
    Vanish("Forward", Framed(request.SerializeAsString()));
  }

  void VanishInStream() {
    v1::ForwardStreamRequest start;
    start.mutable_start()->set_name(LayerName(random_()));
    v1::TensorHeader& input = *start.mutable_start()->mutable_input();
    input.set_dtype(v1::DATA_TYPE_FLOAT32);
    for (const int64_t extent : {1, 64, 64, 3}) input.add_shape(extent);
    v1::ForwardStreamRequest data;
    data.set_data(std::string(20'000, '\0'));
    Vanish("ForwardStream", Framed(start.SerializeAsString()) + Framed(data.SerializeAsString()));
  }

  // After some or all of the bytes.
  void Vanish(const std::string& method, const std::string& bytes) {
    BareClient client(target_, "/tconv.v1.TransposedConvService/" + method);
    client.Send(bytes.substr(0, random_() % (2 * bytes.size())));
  }

  void ComeAndGo() {
    const std::string name = "of" + std::to_string(number_);
    const Client client(target_);
    ASSERT_THAT(client.Create(SmallLayer(name, 1)), IsOk());
    Check(client.Forward(name, AnyInput()));
    EXPECT_THAT(client.Delete(name), IsOk());
  }

  const std::string target_;
  const int number_;
  std::minstd_rand random_;
  const Client client_{target_};
  int64_t actions_ = 0;
};

class SoakTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const Client client(server_.target());
    for (size_t i = 0; i < kLayers; ++i) {
      ASSERT_THAT(client.Create(SmallLayer(LayerName(i), 1)), IsOk());
    }
    v1::LayerConfig heavy = SmallConfig();
    heavy.set_filters(kHeavyKernel[2]);
    heavy.set_use_bias(false);
    ASSERT_THAT(
        client.Create(
            {.name = "heavy", .definition = heavy, .input_shape = {-1, -1, -1, kHeavyKernel[3]}}),
        IsOk());
    for (int i = 0; i < kWorkers; ++i) {
      workers_.push_back(std::make_unique<Worker>(server_.target(), i));
    }
  }

  // The memory of the server after it.
  int64_t Soak(seconds duration) {
    const auto end = steady_clock::now() + duration;
    std::vector<std::thread> threads;
    for (const auto& worker : workers_) {
      threads.emplace_back([&worker, end] { worker->RunUntil(end); });
    }
    for (std::thread& thread : threads) thread.join();
    return MemoryOf(server_.pid(), "VmRSS");
  }

  ServerProcess server_{{"--store=memory:", "--log-level=warn", "--drain-seconds=20"}};
  std::vector<std::unique_ptr<Worker>> workers_;
};

TEST_F(SoakTest, AMixOfCallsLeavesNothingBehind) {
  const seconds duration = Duration();
  const int64_t middle = Soak(duration / 2);
  const int64_t last = Soak(duration - duration / 2);
  int64_t actions = 0;
  for (const auto& worker : workers_) actions += worker->actions();
  std::cout << actions << " actions in " << duration.count() << " s; the server's memory was "
            << (middle >> 20) << " MiB in the middle and " << (last >> 20) << " MiB at the end\n";
  if (duration >= kLongRun) {
    EXPECT_LT(last - middle, kMostGrowthBytes);
  }

  // It ends well only when every call has left.
  server_.Signal(SIGTERM);
  EXPECT_EQ(server_.Wait(), 0) << server_.log();
}

}  // namespace
}  // namespace tconv::testing
