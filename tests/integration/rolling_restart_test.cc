// What calls under way and calls that come late notice of a server that ends.

#include <gtest/gtest.h>
#include <tconv/client.h>

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/base/mutex.h"
#include "tests/support/small_layer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_server.h"

namespace tconv::testing {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr int kCallers = 4;
constexpr int kCallsAround = 200;

// Calls all the time, without a second attempt, and counts how the calls end.
class Callers {
 public:
  explicit Callers(const std::string& target) : client_(target, {.retry = {.attempts = 1}}) {
    for (int i = 0; i < kCallers; ++i) threads_.emplace_back([this] { CallUntilStopped(); });
  }
  ~Callers() { Stop(); }

  void AwaitCalls(int64_t count) const {
    const int64_t enough = calls_ + count;
    for (int64_t seen = calls_; seen < enough; seen = calls_) calls_.wait(seen);
  }

  std::map<absl::StatusCode, int64_t> Stop() {
    is_stopping_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    server::MutexLock lock(mutex_);
    return counts_;
  }

 private:
  void CallUntilStopped() {
    while (!is_stopping_) {
      const absl::Status status = client_.Forward("up", SmallInput()).status();
      {
        server::MutexLock lock(mutex_);
        ++counts_[status.code()];
      }
      ++calls_;
      calls_.notify_all();
    }
  }

  const Client client_;
  std::atomic<bool> is_stopping_{false};
  std::atomic<int64_t> calls_{0};
  server::Mutex mutex_;
  std::map<absl::StatusCode, int64_t> counts_ TCONV_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

class RollingRestartTest : public ::testing::Test {
 protected:
  static std::unique_ptr<TestServer> StartReplica() {
    auto server = TestServer::Start();
    EXPECT_THAT(Client(server->target()).Create(SmallLayer("up", 1)), IsOk());
    return server;
  }

  const std::unique_ptr<TestServer> first_ = StartReplica();
  const std::unique_ptr<TestServer> second_ = StartReplica();
};

TEST_F(RollingRestartTest, ClientsThatWatchHealthLoseNoCall) {
  Callers callers("ipv4:" + first_->target() + "," + second_->target());
  callers.AwaitCalls(kCallsAround);
  EXPECT_THAT(first_->app().Drain(minutes(10), /*delay=*/seconds(1)), IsOk());
  callers.AwaitCalls(kCallsAround);
  const auto counts = callers.Stop();
  EXPECT_EQ(counts.size(), 1u);
  EXPECT_GE(counts.at(absl::StatusCode::kOk), 2 * kCallsAround);
}

TEST_F(RollingRestartTest, WhoComesTooLateIsToldToTryAgain) {
  Callers callers(first_->target());
  callers.AwaitCalls(kCallsAround);
  EXPECT_THAT(first_->app().Drain(minutes(10)), IsOk());
  callers.AwaitCalls(kCallsAround);
  for (const auto& [code, count] : callers.Stop()) {
    EXPECT_TRUE(code == absl::StatusCode::kOk || code == absl::StatusCode::kUnavailable)
        << count << " calls ended with " << absl::StatusCodeToString(code);
  }
}

}  // namespace
}  // namespace tconv::testing
