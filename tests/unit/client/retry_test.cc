// Which calls are made again, and when.
#include <gtest/gtest.h>
#include <tconv/client.h>

#include <chrono>
#include <functional>
#include <stop_token>

#include "tests/support/status_matchers.h"
#include "tests/unit/client/fake_service.h"

namespace tconv {
namespace {

using absl::StatusCode;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using tconv::testing::FakeServer;
using tconv::testing::IsOk;
using tconv::testing::StatusIs;

Tensor One() { return *Tensor::FromValues<float>({1}, {1}); }

class RetryTest : public ::testing::Test {
 protected:
  static ClientOptions Fast() {
    return {.retry = {.attempts = 3, .first_delay = milliseconds(1), .max_delay = milliseconds(2)}};
  }

  FakeServer server_;
  const Client client_{server_.target, Fast()};
};

TEST_F(RetryTest, RepeatsOnlyWhatCannotActTwice) {
  const struct {
    const char* what;
    std::function<absl::Status()> call;
    bool is_repeated;
  } kCases[] = {
      {"Forward", [this] { return client_.Forward("echo", One()).status(); }, true},
      {"Forward as a stream",
       [this] { return client_.Forward("echo", One(), {.transfer = Transfer::kStream}).status(); },
       true},
      {"ForwardAsync", [this] { return client_.ForwardAsync("echo", One()).get().status(); }, true},
      {"SetWeights at a version",
       [this] { return client_.SetWeights("up", {.kernel = One()}, 1).status(); }, true},
      {"SetWeights", [this] { return client_.SetWeights("up", {.kernel = One()}).status(); },
       false},
      {"Delete", [this] { return client_.Delete("up"); }, false},
  };
  for (const auto& test : kCases) {
    server_.service.calls = 0;
    server_.service.failures = 2;
    const absl::Status status = test.call();
    EXPECT_EQ(status.code(), test.is_repeated ? StatusCode::kOk : StatusCode::kUnavailable)
        << test.what;
    EXPECT_EQ(server_.service.calls, test.is_repeated ? 3 : 1) << test.what;
  }
}

TEST_F(RetryTest, GivesUpAfterTheLastAttempt) {
  server_.service.failures = 3;
  EXPECT_THAT(client_.Forward("echo", One()), StatusIs(StatusCode::kUnavailable));
  EXPECT_EQ(server_.service.calls, 3);
}

TEST_F(RetryTest, RepeatsWhatTheServerCancels) {
  EXPECT_THAT(client_.Forward("cut off once", One()), IsOk());
  EXPECT_EQ(server_.service.calls, 2);
}

TEST_F(RetryTest, DoesNotRepeatOtherErrors) {
  EXPECT_THAT(client_.Forward("refused", One()), StatusIs(StatusCode::kInvalidArgument));
  EXPECT_EQ(server_.service.calls, 1);
}

TEST_F(RetryTest, WaitsAsLongAsTheServerAsksAfterARefusal) {
  const auto start = steady_clock::now();
  EXPECT_THAT(client_.Forward("refused once", One()), IsOk());
  EXPECT_GE(steady_clock::now() - start, testing::FakeService::kRefusal);
  EXPECT_EQ(server_.service.calls, 2);
}

TEST_F(RetryTest, FailsAtOnceWhenTheTimeoutEndsBeforeTheServerWantsAnotherTry) {
  const auto timeout = testing::FakeService::kRefusal - milliseconds(1);
  EXPECT_THAT(client_.Forward("refused once", One(), {.call = {.timeout = timeout}}),
              StatusIs(StatusCode::kResourceExhausted));
  EXPECT_EQ(server_.service.calls, 1);
}

TEST_F(RetryTest, FailsAtOnceWhenTheTimeoutEndsBeforeTheNextAttempt) {
  ClientOptions options;
  options.retry.first_delay = std::chrono::hours(1);
  options.retry.max_delay = std::chrono::hours(1);
  server_.service.failures = 1;
  const auto start = steady_clock::now();
  EXPECT_THAT(Client(server_.target, options).Forward("echo", One()),
              StatusIs(StatusCode::kUnavailable));
  EXPECT_LT(steady_clock::now() - start, std::chrono::seconds(30));
}

TEST_F(RetryTest, CanBeCancelledBetweenAttempts) {
  ClientOptions options{.timeout = milliseconds(0)};
  options.retry.first_delay = std::chrono::hours(1);
  options.retry.max_delay = std::chrono::hours(1);
  const Client client(server_.target, options);
  server_.service.failures = 1;
  std::stop_source source;
  auto result = client.ForwardAsync("echo", One(), {.call = {.cancellation = source.get_token()}});
  // The failure has been handled when a later call on the same thread has ended.
  while (server_.service.failures > 0) ASSERT_THAT(client.CheckHealth(), IsOk());
  ASSERT_THAT(client.ForwardAsync("echo", One()).get(), IsOk());
  source.request_stop();
  EXPECT_THAT(result.get(), StatusIs(StatusCode::kCancelled));
}

// A server that comes up while the client waits: no call can have left before.
TEST(RetryWithoutServerTest, RepeatsEveryCallThatNeverLeft) {
  std::string target;
  {
    const FakeServer gone;
    target = gone.target;
  }
  const Client client(
      target,
      {.retry = {.attempts = 2, .first_delay = milliseconds(200), .max_delay = milliseconds(200)}});
  const auto start = steady_clock::now();
  EXPECT_THAT(client.Delete("up"), StatusIs(StatusCode::kUnavailable));
  EXPECT_GE(steady_clock::now() - start, milliseconds(100)) << "there was no second attempt";
}

}  // namespace
}  // namespace tconv
