// Servers that are killed while they are used.
#pragma once

#include <absl/status/status.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/server_process.h"
#include "tests/support/temp_folder.h"

namespace tconv::testing {

// One life of a server, as those who use it see it. Thread-safe.
class DoomedServer {
 public:
  explicit DoomedServer(std::string target) : target_(std::move(target)) {}

  const std::string& target() const { return target_; }
  void NoteAnswer() { ++answers_; }
  // A call failed, as it may once the server is killed.
  void NoteFailure(const absl::Status& status) {
    EXPECT_TRUE(is_killed_) << status;
    has_failed_ = true;
  }

  // Until there are so many answers, or none will come any more.
  void AwaitAnswers(int count) const {
    while (answers_ < count && !has_failed_) std::this_thread::yield();
  }
  void NoteKill() { is_killed_ = true; }

 private:
  const std::string target_;
  std::atomic<int> answers_ = 0;
  std::atomic<bool> is_killed_ = false;
  std::atomic<bool> has_failed_ = false;
};

// Kills a server with a store on disk again and again. A Worker has Run(DoomedServer&), which uses
// the server, on a thread of its own, until a call fails.
template <typename Worker>
class CrashRoundsTest : public ::testing::Test {
 protected:
  // Returns the number of rounds; `verify` sees the server after each. Ends early when a round
  // fails or the time is up.
  int RunRounds(int most_rounds, std::chrono::seconds time_limit,
                const std::function<void(const std::string& target)>& verify) {
    const auto end = std::chrono::steady_clock::now() + time_limit;
    std::minstd_rand random(1);
    int rounds = 0;
    while (rounds < most_rounds && !HasFailure()) {
      if (rounds > 0 && std::chrono::steady_clock::now() > end) break;
      UseAndKill(static_cast<int>(random() % 30));
      Serve(verify);
      ++rounds;
    }
    return rounds;
  }

  // A whole life of a server, which ends in order.
  void Serve(const std::function<void(const std::string& target)>& use) {
    ServerProcess server({store_});
    ASSERT_FALSE(server.target().empty()) << server.log();
    use(server.target());
    server.Signal(SIGTERM);
    EXPECT_EQ(server.Wait(), 0) << server.log();
  }

  std::vector<Worker> workers_;

 private:
  void UseAndKill(int answers_before_the_kill) {
    ServerProcess server({store_});
    ASSERT_FALSE(server.target().empty()) << server.log();
    DoomedServer doomed(server.target());
    std::vector<std::thread> threads;
    for (Worker& worker : workers_) threads.emplace_back([&] { worker.Run(doomed); });
    doomed.AwaitAnswers(answers_before_the_kill);
    doomed.NoteKill();
    server.Signal(SIGKILL);
    EXPECT_EQ(server.Wait(), 128 + SIGKILL);
    for (std::thread& thread : threads) thread.join();
  }

  const TempFolder folder_;
  const std::string store_ = fmt::format("--store=sqlite:{}", folder_ / "layers.db");
};

}  // namespace tconv::testing
