#include "server/host/admission_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <future>
#include <string>
#include <thread>
#include <utility>

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

  FakeCall& Of(std::string flow) {
    flow_ = std::move(flow);
    return *this;
  }
  FakeCall& Batchable() {
    can_run_with_others_ = true;
    return *this;
  }
  FakeCall& Exclusive() {
    is_exclusive_ = true;
    return *this;
  }
  FakeCall& Taking(std::chrono::nanoseconds least_time) {
    least_time_ = least_time;
    return *this;
  }
  FakeCall& Until(std::chrono::system_clock::time_point deadline) {
    deadline_ = deadline;
    return *this;
  }
  FakeCall& WithoutComputing() {
    computes_ = false;
    return *this;
  }

  Status Enter(AdmissionQueue& queue) {
    queue_ = &queue;
    TCONV_RETURN_IF_ERROR(queue.Enter(bytes_));
    queue.Submit(*this);
    return OkStatus();
  }

  std::string_view flow() const override { return flow_; }
  std::chrono::system_clock::time_point deadline() const override { return deadline_; }
  std::chrono::nanoseconds least_time() const override { return least_time_; }
  bool computes() const override { return computes_; }
  bool is_exclusive() const override { return is_exclusive_; }
  bool CanRunWith(const QueuedCall&) const override { return can_run_with_others_; }

  void Run(std::span<QueuedCall* const> companions) override {
    thread_ = std::this_thread::get_id();
    companions_ = companions.size();
    started_.set_value();
    end_.get_future().wait();
    for (QueuedCall* companion : companions) static_cast<FakeCall*>(companion)->LeaveQueue();
    LeaveQueue();
  }
  void Drop(const Status& why) override {
    drop_reason_ = why;
    LeaveQueue();
  }

  void AwaitStart() { started_.get_future().wait(); }
  void LetEnd() { end_.set_value(); }
  bool was_dropped() const { return !drop_reason_.ok(); }
  const Status& drop_reason() const { return drop_reason_; }
  size_t companions() const { return companions_; }
  std::thread::id thread() const { return thread_; }

 private:
  void LeaveQueue() { queue_->Leave(bytes_); }

  AdmissionQueue* queue_ = nullptr;
  const int64_t bytes_;
  std::string flow_;
  bool can_run_with_others_ = false;
  bool is_exclusive_ = false;
  bool computes_ = true;
  std::chrono::nanoseconds least_time_{0};
  std::chrono::system_clock::time_point deadline_ = std::chrono::system_clock::time_point::max();
  std::promise<void> started_;
  std::promise<void> end_;
  Status drop_reason_;
  size_t companions_ = 0;
  std::thread::id thread_;
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
  EXPECT_GT(RetryDelayOf(queue.Enter(1)), std::chrono::milliseconds(0));
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
  const Status never = too_large.Enter(queue);
  EXPECT_THAT(never, StatusIs(StatusCode::kResourceExhausted));
  EXPECT_EQ(RetryDelayOf(never), std::nullopt);
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

TEST(AdmissionQueueTest, ACallMayGrowWithinTheLimit) {
  AdmissionQueue queue({.handler_threads = 1, .max_bytes = 100});
  ASSERT_THAT(queue.Enter(10), IsOk());
  EXPECT_THAT(queue.Enlarge(90), IsOk());
  EXPECT_EQ(queue.bytes(), 100);
  EXPECT_THAT(queue.Enlarge(1), StatusIs(StatusCode::kResourceExhausted));
  queue.Leave(100);
  EXPECT_EQ(queue.bytes(), 0);
  EXPECT_EQ(queue.calls(), 0);
}

TEST(AdmissionQueueTest, WaitingCallsThatCanRunTogetherDo) {
  FakeCall running;
  std::deque<FakeCall> waiting(5);
  AdmissionQueue queue({.handler_threads = 1, .max_batch = 4});
  ASSERT_THAT(running.Enter(queue), IsOk());
  running.AwaitStart();
  for (FakeCall& call : waiting) ASSERT_THAT(call.Batchable().Enter(queue), IsOk());
  EXPECT_EQ(queue.waiting(), 5);
  running.LetEnd();
  waiting[0].AwaitStart();
  EXPECT_EQ(waiting[0].companions(), 3u);
  waiting[0].LetEnd();
  waiting[4].AwaitStart();
  EXPECT_EQ(waiting[4].companions(), 0u);
  waiting[4].LetEnd();
  EXPECT_TRUE(queue.WaitUntilIdle(Now() + kLong));
}

TEST(AdmissionQueueTest, AFlowWithManyCallsDoesNotDelayOthers) {
  FakeCall running;
  FakeCall hot[2];
  FakeCall other;
  AdmissionQueue queue({.handler_threads = 1});
  ASSERT_THAT(running.Of("hot").Enter(queue), IsOk());
  running.AwaitStart();
  for (FakeCall& call : hot) ASSERT_THAT(call.Of("hot").Enter(queue), IsOk());
  ASSERT_THAT(other.Of("other").Enter(queue), IsOk());
  running.LetEnd();
  hot[0].AwaitStart();
  hot[0].LetEnd();
  other.AwaitStart();
  EXPECT_EQ(queue.waiting(), 1);
  other.LetEnd();
  hot[1].LetEnd();
}

TEST(AdmissionQueueTest, ExclusiveCallsOfAFlowHoldOneThreadAndLeaveTheOthersToOtherFlows) {
  FakeCall steps[] = {FakeCall(), FakeCall(), FakeCall()};
  FakeCall other;
  FakeCall later;
  AdmissionQueue queue({.handler_threads = 2});
  for (FakeCall& step : steps) ASSERT_THAT(step.Of("a").Exclusive().Enter(queue), IsOk());
  steps[0].AwaitStart();
  ASSERT_THAT(other.Of("b").Enter(queue), IsOk());
  other.AwaitStart();
  other.LetEnd();
  ASSERT_THAT(later.Of("b").Enter(queue), IsOk());
  later.AwaitStart();
  EXPECT_EQ(queue.waiting(), 2);
  queue.Abandon(steps[1]);
  EXPECT_TRUE(steps[1].was_dropped());
  steps[0].LetEnd();
  steps[2].AwaitStart();
  steps[2].LetEnd();
  later.LetEnd();
  EXPECT_TRUE(queue.WaitUntilIdle(Now() + kLong));
}

TEST(AdmissionQueueTest, ACallPastItsDeadlineIsNotRun) {
  FakeCall running;
  FakeCall waiting;
  AdmissionQueue queue({.handler_threads = 1});
  ASSERT_THAT(running.Enter(queue), IsOk());
  running.AwaitStart();
  const auto deadline = std::chrono::system_clock::now() + std::chrono::milliseconds(2);
  ASSERT_THAT(waiting.Until(deadline).Enter(queue), IsOk());
  while (std::chrono::system_clock::now() <= deadline) std::this_thread::yield();
  running.LetEnd();
  ASSERT_TRUE(queue.WaitUntilIdle(Now() + kLong));
  EXPECT_THAT(waiting.drop_reason(), StatusIs(StatusCode::kDeadlineExceeded));
}

TEST(AdmissionQueueTest, ACallWhoseDeadlineCannotBeMetIsDroppedAtOnce) {
  const auto in_a_minute = std::chrono::system_clock::now() + kLong;
  FakeCall running;
  FakeCall ahead;
  FakeCall hopeless;
  FakeCall behind;
  FakeCall possible;
  AdmissionQueue queue({.handler_threads = 1});
  ASSERT_THAT(running.Enter(queue), IsOk());
  running.AwaitStart();
  ASSERT_THAT(hopeless.Taking(2 * kLong).Until(in_a_minute).Enter(queue), IsOk());
  EXPECT_THAT(hopeless.drop_reason(), StatusIs(StatusCode::kDeadlineExceeded));
  ASSERT_THAT(ahead.Taking(2 * kLong).Enter(queue), IsOk());
  ASSERT_THAT(behind.Until(in_a_minute).Enter(queue), IsOk());
  EXPECT_THAT(behind.drop_reason(), StatusIs(StatusCode::kDeadlineExceeded));
  ASSERT_THAT(possible.Of("other").Until(in_a_minute).Enter(queue), IsOk());
  for (FakeCall* call : {&running, &ahead, &possible}) call->LetEnd();
  ASSERT_TRUE(queue.WaitUntilIdle(Now() + kLong));
  EXPECT_FALSE(possible.was_dropped());
}

class AdmissionQueueWithSlotsTest : public ::testing::Test {
 protected:
  // A call that holds the only slot until it is told to end.
  void Occupy(FakeCall& call, AdmissionQueue& queue) {
    ASSERT_THAT(call.Enter(queue), IsOk());
    call.AwaitStart();
    ASSERT_EQ(slots_.free(), 0);
  }
  void AwaitThreadThatWantsASlot() const {
    while (!slots_.IsAwaited()) std::this_thread::yield();
  }

  ComputeSlots slots_{1, [] {}};
};

TEST_F(AdmissionQueueWithSlotsTest, CallsGatherWhileAllSlotsAreInUse) {
  FakeCall running;
  std::deque<FakeCall> waiting(5);
  AdmissionQueue queue({.handler_threads = 4}, &slots_);
  Occupy(running.Of("layer"), queue);
  for (FakeCall& call : waiting) {
    ASSERT_THAT(call.Of("layer").Batchable().Enter(queue), IsOk());
    AwaitThreadThatWantsASlot();
  }
  EXPECT_EQ(queue.waiting(), 5);
  running.LetEnd();
  waiting[0].AwaitStart();
  EXPECT_EQ(waiting[0].companions(), 4u);
  waiting[0].LetEnd();
}

TEST_F(AdmissionQueueWithSlotsTest, CallsThatDoNotComputeNeedNoSlot) {
  FakeCall running;
  FakeCall idle;
  AdmissionQueue queue({.handler_threads = 2}, &slots_);
  Occupy(running, queue);
  ASSERT_THAT(idle.WithoutComputing().Enter(queue), IsOk());
  idle.AwaitStart();
  idle.LetEnd();
  running.LetEnd();
}

TEST_F(AdmissionQueueWithSlotsTest, OnlyAnotherFlowAndShortCallsPressForASlot) {
  struct Case {
    const char* flow;
    std::chrono::milliseconds least_time;
    bool presses;
  };
  for (const Case& c :
       {Case{"layer", kLong, false}, Case{"layer", std::chrono::milliseconds(0), false},
        Case{"layer", std::chrono::milliseconds(1), true}, Case{"other", kLong, true}}) {
    FakeCall running;
    FakeCall next;
    AdmissionQueue queue({.handler_threads = 2}, &slots_);
    Occupy(running.Of("layer"), queue);
    ASSERT_THAT(next.Of(c.flow).Taking(c.least_time).Enter(queue), IsOk());
    AwaitThreadThatWantsASlot();
    EXPECT_EQ(slots_.IsPressed(), c.presses) << c.flow << " " << c.least_time.count();
    running.LetEnd();
    next.LetEnd();
    ASSERT_TRUE(queue.WaitUntilIdle(Now() + kLong));
  }
}

TEST_F(AdmissionQueueWithSlotsTest, AShortCallRunsOnTheThreadThatBringsIt) {
  FakeCall call;
  call.LetEnd();
  AdmissionQueue queue({.handler_threads = 1}, &slots_);
  ASSERT_THAT(call.Taking(std::chrono::microseconds(20)).Enter(queue), IsOk());
  EXPECT_EQ(call.thread(), std::this_thread::get_id());
  EXPECT_EQ(slots_.free(), 1);
  EXPECT_EQ(queue.calls(), 0);
}

TEST_F(AdmissionQueueWithSlotsTest, AnExclusiveCallWaitsForItsTurnHoweverShort) {
  FakeCall call;
  call.LetEnd();
  AdmissionQueue queue({.handler_threads = 1}, &slots_);
  ASSERT_THAT(call.Exclusive().Taking(std::chrono::microseconds(20)).Enter(queue), IsOk());
  ASSERT_TRUE(queue.WaitUntilIdle(Now() + kLong));
  EXPECT_NE(call.thread(), std::this_thread::get_id());
}

TEST_F(AdmissionQueueWithSlotsTest, AShortCallThatFindsNoSlotWaitsLikeAnyOther) {
  FakeCall running;
  FakeCall call;
  call.LetEnd();
  AdmissionQueue queue({.handler_threads = 2}, &slots_);
  Occupy(running, queue);
  ASSERT_THAT(call.Taking(std::chrono::microseconds(20)).Enter(queue), IsOk());
  EXPECT_EQ(queue.calls(), 2);
  running.LetEnd();
  ASSERT_TRUE(queue.WaitUntilIdle(Now() + kLong));
  EXPECT_NE(call.thread(), std::this_thread::get_id());
}

TEST_F(AdmissionQueueWithSlotsTest, ACallWaitsForCompanyThatIsArriving) {
  FakeCall first;
  FakeCall second;
  first.LetEnd();
  AdmissionQueue queue({.handler_threads = 2, .batch_delay = kLong}, &slots_);
  ASSERT_THAT(queue.Enter(1), IsOk());  // the second, whose payload is being read
  ASSERT_THAT(first.Batchable().Enter(queue), IsOk());
  while (queue.waiting() > 0) std::this_thread::yield();
  ASSERT_THAT(second.Batchable().Enter(queue), IsOk());
  queue.Leave(1);  // nobody else can come
  first.AwaitStart();
  EXPECT_EQ(first.companions(), 1u);
}

}  // namespace
}  // namespace tconv::server
