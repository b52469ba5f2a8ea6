// How a server ends, and how it refuses to begin.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <tconv/client.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/server_process.h"
#include "tests/support/small_layer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace tconv::testing {
namespace {

using absl::StatusCode;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

// Waits as long as it takes, and takes the first answer: a client that tries again
// would learn of the end when the calls have finished.
const ClientOptions kOneAttempt = {.timeout = std::chrono::milliseconds(0),
                                   .retry = {.attempts = 1}};

// A server with one handler, and calls that keep it busy for a while.
class DrainTest : public ::testing::Test {
 protected:
  // With `calls` calls on their way, the first of which is answered.
  void StartBusyServer(int calls, std::vector<std::string> arguments) {
    for (const char* argument :
         {"--store=memory:", "--strategy=reference", "--handler-threads=1"}) {
      arguments.emplace_back(argument);
    }
    server_ = std::make_unique<ServerProcess>(std::move(arguments));
    ASSERT_THAT(server_->target(), Not(IsEmpty())) << server_->log();
    client_ = std::make_unique<Client>(server_->target(), kOneAttempt);
    ASSERT_THAT(client_->Create(SlowLayer("slow")), IsOk());
    for (int i = 0; i < calls; ++i) running_.push_back(client_->ForwardAsync("slow", SlowInput()));
    // With the answer to the first, the others have arrived.
    ASSERT_THAT(running_.front().get(), IsOk());
    running_.erase(running_.begin());
  }

  // Returns when the server has begun to drain.
  void AwaitDraining() const {
    while (client_->CheckHealth().ok()) {
    }
  }

  // Those before it may just have finished.
  void ExpectLastCallCutOff() {
    EXPECT_THAT(running_.back().get(), StatusIs(StatusCode::kUnavailable));
    running_.pop_back();
    for (auto& call : running_) call.wait();
  }

  std::unique_ptr<ServerProcess> server_;
  std::unique_ptr<Client> client_;
  std::vector<std::future<absl::StatusOr<ForwardResult>>> running_;
};

TEST_F(DrainTest, RunningCallsFinishNewOnesAreRefusedAndTheCodeIsZero) {
  StartBusyServer(3, {"--drain-seconds=600"});
  server_->Signal(SIGTERM);
  AwaitDraining();
  EXPECT_THAT(client_->Forward("slow", SlowInput()), StatusIs(StatusCode::kUnavailable));
  EXPECT_THAT(client_->Get("slow"), StatusIs(StatusCode::kUnavailable));
  for (auto& call : running_) EXPECT_THAT(call.get(), IsOk());
  EXPECT_EQ(server_->Wait(), 0);
}

TEST_F(DrainTest, DuringTheDelayCallsAreTakenWhileHealthSaysNo) {
  ServerProcess server({"--store=memory:", "--drain-delay-seconds=2"});
  const Client client(server.target(), kOneAttempt);
  ASSERT_THAT(client.Create(SmallLayer("up", 1)), IsOk());
  server.Signal(SIGTERM);
  while (client.CheckHealth().ok()) {
  }
  EXPECT_THAT(client.Forward("up", SmallInput()), IsOk());
  EXPECT_THAT(client.CheckHealth("tconv.live"), IsOk());
  EXPECT_EQ(server.Wait(), 0);
}

TEST_F(DrainTest, ASecondSignalEndsTheServerAtOnce) {
  StartBusyServer(20, {});
  server_->Signal(SIGTERM);
  AwaitDraining();
  server_->Signal(SIGINT);
  EXPECT_EQ(server_->Wait(), 128 + SIGINT);
  ExpectLastCallCutOff();
}

TEST_F(DrainTest, CallsThatTakeTooLongAreGivenUp) {
  StartBusyServer(20, {"--drain-seconds=0"});
  server_->Signal(SIGTERM);
  EXPECT_EQ(server_->Wait(), 1);
  EXPECT_THAT(server_->log(), HasSubstr("calls did not finish within 0 s"));
  ExpectLastCallCutOff();
}

TEST(StartTest, AnIdleServerStopsWithCodeZero) {
  for (const int signal : {SIGTERM, SIGINT}) {
    ServerProcess server({"--store=memory:"});
    server.Signal(signal);
    EXPECT_EQ(server.Wait(), 0) << server.log();
  }
}

// A start that fails writes one line that says why.
void ExpectRefusal(std::vector<std::string> arguments, int code, const std::string& reason) {
  ServerProcess server(std::move(arguments));
  EXPECT_THAT(server.target(), IsEmpty());
  EXPECT_EQ(server.Wait(), code);
  const std::string log = server.log();
  EXPECT_THAT(log, AllOf(StartsWith("tconv-server: "), HasSubstr(reason), EndsWith("\n")));
  EXPECT_EQ(log.find('\n'), log.size() - 1) << log;
}

TEST(StartTest, AWrongOptionIsCodeTwo) {
  ExpectRefusal({"--bogus"}, 2, "--bogus");
  ExpectRefusal({"--store=memory:", "--strategy=bogus"}, 2, "expected one of");
  ExpectRefusal({"--store=bogus:"}, 2, "\"bogus\"");
  ExpectRefusal({"--store=memory:", "--log-level=bogus"}, 2, "bogus");
}

TEST(StartTest, AnAddressInUseIsRefused) {
  const ServerProcess first({"--store=memory:"});
  ExpectRefusal({"--store=memory:", fmt::format("--listen={}", first.target())}, 1,
                "cannot listen on");
}

TEST(StartTest, ASecondServerOnOneStoreIsRefused) {
  const TempFolder folder;
  const std::string store = fmt::format("--store=sqlite:{}", folder / "layers.db");
  const ServerProcess first({store});
  ExpectRefusal({store}, 1, "layers.db");
}

TEST(StartTest, ADamagedStoreIsRefusedAndLeftAsItIs) {
  const TempFolder folder;
  const std::string path = folder / "layers.db";
  const std::string content = "these are the only copies of my holiday pictures";
  WriteFile(path, content);
  ExpectRefusal({fmt::format("--store=sqlite:{}", path)}, 1, "layers.db");
  EXPECT_EQ(ReadFile(path), content);
}

}  // namespace
}  // namespace tconv::testing
