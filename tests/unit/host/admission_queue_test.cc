#include "server/host/admission_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>

#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

// A call that runs until it is told to end. It has to outlive the queue.
class FakeCall final : public QueuedCall {
 public:
  explicit FakeCall(int64_t bytes = 1) : bytes_(bytes) {}

  Status Enter(AdmissionQueue& queue) {
    queue_ = &queue;
    TCONV_RETURN_IF_ERROR(queue.Enter(bytes_));
    queue.Submit(*this);
    return OkStatus();
  }

  void Run(std::span<QueuedCall* const>) override {
    started_.set_value();
    end_.get_future().wait();
    queue_->Leave(bytes_);
  }
  void Drop(const Status&) override {
    was_dropped_ = true;
    queue_->Leave(bytes_);
  }

  void AwaitStart() { started_.get_future().wait(); }
  void LetEnd() { end_.set_value(); }
  bool was_dropped() const { return was_dropped_; }

 private:
  AdmissionQueue* queue_ = nullptr;
  const int64_t bytes_;
  std::promise<void> started_;
  std::promise<void> end_;
  bool was_dropped_ = false;
};

constexpr auto kLong = std::chrono::minutes(1);
std::chrono::steady_clock::time_point Now() { return std::chrono::steady_clock::now(); }

TEST(AdmissionQueueTest, RunsAsManyCallsAtOnceAsItHasThreads) {
  FakeCall first;
  FakeCall second;
  AdmissionQueue queue({.handler_threads = 2});
  ASSERT_THAT(first.Enter(queue), IsOk());
  ASSERT_THAT(second.Enter(queue), IsOk());
  first.AwaitStart();
  second.AwaitStart();
  first.LetEnd();
  second.LetEnd();
  EXPECT_TRUE(queue.WaitUntilIdle(Now() + kLong));
}

TEST(AdmissionQueueTest, RefusesMoreWaitingCallsThanAllowed) {
  FakeCall running;
  FakeCall waiting;
  FakeCall refused;
  AdmissionQueue queue({.handler_threads = 1, .max_waiting_calls = 1});
  ASSERT_THAT(running.Enter(queue), IsOk());
  ASSERT_THAT(waiting.Enter(queue), IsOk());
  EXPECT_THAT(refused.Enter(queue), StatusIs(StatusCode::kResourceExhausted, HasSubstr("busy")));
  running.LetEnd();
  waiting.LetEnd();
  ASSERT_TRUE(queue.WaitUntilIdle(Now() + kLong));
  refused.LetEnd();
  EXPECT_THAT(refused.Enter(queue), IsOk());
}

TEST(AdmissionQueueTest, RefusesCallsThatHoldMoreBytesThanAreLeft) {
  FakeCall running(60);
  FakeCall fitting(40);
  FakeCall refused(1);
  FakeCall too_large(101);
  AdmissionQueue queue({.handler_threads = 1, .max_waiting_calls = 10, .max_bytes = 100});
  EXPECT_THAT(too_large.Enter(queue), StatusIs(StatusCode::kResourceExhausted));
  ASSERT_THAT(running.Enter(queue), IsOk());
  ASSERT_THAT(fitting.Enter(queue), IsOk());
  EXPECT_THAT(refused.Enter(queue), StatusIs(StatusCode::kResourceExhausted, HasSubstr("100")));
  running.LetEnd();
  fitting.LetEnd();
}

TEST(AdmissionQueueTest, AnAbandonedCallThatWaitsIsDroppedAndMakesRoom) {
  FakeCall running;
  FakeCall abandoned;
  FakeCall next;
  AdmissionQueue queue({.handler_threads = 1, .max_waiting_calls = 1});
  ASSERT_THAT(running.Enter(queue), IsOk());
  running.AwaitStart();
  ASSERT_THAT(abandoned.Enter(queue), IsOk());
  queue.Abandon(abandoned);
  EXPECT_TRUE(abandoned.was_dropped());
  EXPECT_THAT(next.Enter(queue), IsOk());
  running.LetEnd();
  next.LetEnd();
}

TEST(AdmissionQueueTest, ARunningCallCannotBeAbandoned) {
  FakeCall running;
  AdmissionQueue queue({.handler_threads = 1});
  ASSERT_THAT(running.Enter(queue), IsOk());
  running.AwaitStart();
  queue.Abandon(running);
  EXPECT_FALSE(running.was_dropped());
  running.LetEnd();
}

TEST(AdmissionQueueTest, RefusesCallsAfterItWasClosedAndFinishesThoseInside) {
  FakeCall running;
  FakeCall waiting;
  FakeCall late;
  AdmissionQueue queue({.handler_threads = 1});
  ASSERT_THAT(running.Enter(queue), IsOk());
  ASSERT_THAT(waiting.Enter(queue), IsOk());
  queue.Close();
  EXPECT_THAT(late.Enter(queue), StatusIs(StatusCode::kUnavailable));
  EXPECT_FALSE(queue.WaitUntilIdle(Now()));
  running.LetEnd();
  waiting.AwaitStart();
  waiting.LetEnd();
  EXPECT_TRUE(queue.WaitUntilIdle(Now() + kLong));
}

}  // namespace
}  // namespace tconv::server
