#include "server/host/flow_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace tconv::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr size_t kMaxCalls = 4;

// A call that runs with those of the same kind; kind 0 runs alone.
class FakeCall final : public QueuedCall {
 public:
  explicit FakeCall(std::string flow, int kind = 0, milliseconds least_time = {})
      : flow_(std::move(flow)), kind_(kind), least_time_(least_time) {}

  FakeCall& Exclusive() {
    is_exclusive_ = true;
    return *this;
  }
  FakeCall& Expired() {
    deadline_ = system_clock::time_point();
    return *this;
  }

  std::string_view flow() const override { return flow_; }
  system_clock::time_point deadline() const override { return deadline_; }
  std::chrono::nanoseconds least_time() const override { return least_time_; }
  bool is_exclusive() const override { return is_exclusive_; }
  bool CanRunWith(const QueuedCall& other) const override {
    return kind_ > 0 && static_cast<const FakeCall&>(other).kind_ == kind_;
  }
  void Run(std::span<QueuedCall* const>) override {}
  void Drop(const Status&) override {}

 private:
  const std::string flow_;
  const int kind_;
  const milliseconds least_time_;
  bool is_exclusive_ = false;
  system_clock::time_point deadline_ = system_clock::time_point::max();
};

class FlowQueueTest : public ::testing::Test {
 protected:
  FlowQueue::Group Take() { return queue_.TakeTurn(kMaxCalls, system_clock::now(), expired_); }

  FlowQueue queue_;
  std::vector<QueuedCall*> expired_;
};

TEST_F(FlowQueueTest, AFlowIsServedInOrderOfArrival) {
  FakeCall first("a");
  FakeCall second("a");
  queue_.Push(first);
  queue_.Push(second);
  EXPECT_EQ(&queue_.next(), &first);
  EXPECT_THAT(Take().calls, ElementsAre(&first));
  EXPECT_THAT(Take().calls, ElementsAre(&second));
  EXPECT_FALSE(queue_.HasNext());
}

TEST_F(FlowQueueTest, FlowsTakeTurns) {
  FakeCall hot[] = {FakeCall("hot"), FakeCall("hot"), FakeCall("hot")};
  FakeCall other("other");
  for (FakeCall& call : hot) queue_.Push(call);
  queue_.Push(other);
  EXPECT_THAT(Take().calls, ElementsAre(&hot[0]));
  EXPECT_THAT(Take().calls, ElementsAre(&other));
  EXPECT_THAT(Take().calls, ElementsAre(&hot[1]));
  EXPECT_THAT(Take().calls, ElementsAre(&hot[2]));
}

TEST_F(FlowQueueTest, ACallTakesAlongLaterOnesOfItsFlowThatCanRunWithIt) {
  FakeCall calls[] = {FakeCall("a", 1), FakeCall("a", 2), FakeCall("a", 1), FakeCall("b", 1)};
  for (FakeCall& call : calls) queue_.Push(call);
  EXPECT_THAT(Take().calls, ElementsAre(&calls[0], &calls[2]));
  EXPECT_THAT(Take().calls, ElementsAre(&calls[3]));
  EXPECT_THAT(Take().calls, ElementsAre(&calls[1]));
}

TEST_F(FlowQueueTest, TakesNoMoreCallsThanTold) {
  std::vector<FakeCall> calls(6, FakeCall("a", 1));
  for (FakeCall& call : calls) queue_.Push(call);
  FlowQueue::Group group = Take();
  EXPECT_EQ(group.calls.size(), kMaxCalls);
  EXPECT_EQ(queue_.size(), 2);
  queue_.TakeCompanions(kMaxCalls + 1, system_clock::now(), group, expired_);
  EXPECT_EQ(group.calls.size(), kMaxCalls + 1);
  EXPECT_EQ(queue_.size(), 1);
}

TEST_F(FlowQueueTest, TakesCompanionsThatComeLater) {
  FakeCall first("a", 1);
  FakeCall later("a", 1);
  queue_.Push(first);
  FlowQueue::Group group = Take();
  queue_.TakeCompanions(kMaxCalls, system_clock::now(), group, expired_);
  EXPECT_THAT(group.calls, ElementsAre(&first));
  queue_.Push(later);
  queue_.TakeCompanions(kMaxCalls, system_clock::now(), group, expired_);
  EXPECT_THAT(group.calls, ElementsAre(&first, &later));
  EXPECT_FALSE(queue_.HasNext());
}

TEST_F(FlowQueueTest, SetsCallsPastTheirDeadlineAside) {
  FakeCall calls[] = {FakeCall("a", 1), FakeCall("a", 1), FakeCall("a", 1), FakeCall("b")};
  calls[0].Expired();
  calls[2].Expired();
  calls[3].Expired();
  for (FakeCall& call : calls) queue_.Push(call);
  EXPECT_THAT(Take().calls, ElementsAre(&calls[1]));
  EXPECT_THAT(expired_, ElementsAre(&calls[0], &calls[2]));
  EXPECT_THAT(Take().calls, IsEmpty());
  EXPECT_THAT(expired_, ElementsAre(&calls[0], &calls[2], &calls[3]));
  EXPECT_FALSE(queue_.HasNext());
  EXPECT_FALSE(queue_.HasRestingFlow());
}

TEST_F(FlowQueueTest, RemovesOnlyCallsThatWait) {
  FakeCall first("a");
  FakeCall second("a");
  queue_.Push(first);
  queue_.Push(second);
  EXPECT_TRUE(queue_.Remove(first));
  EXPECT_FALSE(queue_.Remove(first));
  EXPECT_THAT(Take().calls, ElementsAre(&second));
  EXPECT_FALSE(queue_.Remove(second));
}

TEST_F(FlowQueueTest, KnowsWhetherAFlowWaitsOfWhichNoneRuns) {
  FakeCall first("a");
  FakeCall second("a");
  FakeCall other("b");
  queue_.Push(first);
  EXPECT_TRUE(queue_.HasRestingFlow());
  const FlowQueue::Group group = Take();
  EXPECT_FALSE(queue_.HasRestingFlow());
  queue_.Push(second);
  EXPECT_FALSE(queue_.HasRestingFlow());
  queue_.Push(other);
  EXPECT_TRUE(queue_.HasRestingFlow());
  EXPECT_TRUE(queue_.Remove(other));
  EXPECT_FALSE(queue_.HasRestingFlow());
  queue_.FinishTurn(group);
  EXPECT_TRUE(queue_.HasRestingFlow());
}

TEST_F(FlowQueueTest, AFlowOfExclusiveCallsIsHeldBackWhileOneOfThemRuns) {
  FakeCall steps[] = {FakeCall("a"), FakeCall("a"), FakeCall("a")};
  for (FakeCall& step : steps) step.Exclusive();
  FakeCall other("b");
  queue_.Push(steps[0]);
  queue_.Push(steps[1]);
  const FlowQueue::Group running = Take();
  EXPECT_THAT(running.calls, ElementsAre(&steps[0]));
  EXPECT_FALSE(queue_.HasNext());
  queue_.Push(steps[2]);
  EXPECT_FALSE(queue_.HasNext());
  EXPECT_EQ(queue_.size(), 2);
  queue_.Push(other);
  EXPECT_EQ(&queue_.next(), &other);
  queue_.FinishTurn(running);
  EXPECT_THAT(Take().calls, ElementsAre(&other));
  const FlowQueue::Group next = Take();
  EXPECT_THAT(next.calls, ElementsAre(&steps[1]));
  EXPECT_FALSE(queue_.HasNext());
  queue_.FinishTurn(next);
  EXPECT_THAT(Take().calls, ElementsAre(&steps[2]));
}

TEST_F(FlowQueueTest, AFlowThatIsHeldBackDoesNotRest) {
  FakeCall first("a");
  FakeCall second("a");
  queue_.Push(first.Exclusive());
  queue_.Push(second.Exclusive());
  const FlowQueue::Group running = Take();
  EXPECT_FALSE(queue_.HasRestingFlow());
  queue_.FinishTurn(running);
  EXPECT_TRUE(queue_.HasRestingFlow());
}

TEST_F(FlowQueueTest, RemovesCallsThatAreHeldBack) {
  FakeCall first("a");
  FakeCall second("a");
  FakeCall later("a");
  queue_.Push(first.Exclusive());
  queue_.Push(second.Exclusive());
  const FlowQueue::Group running = Take();
  EXPECT_FALSE(queue_.Remove(first));
  EXPECT_TRUE(queue_.Remove(second));
  EXPECT_EQ(queue_.size(), 0);
  queue_.FinishTurn(running);
  EXPECT_FALSE(queue_.HasNext());
  EXPECT_FALSE(queue_.HasRestingFlow());
  queue_.Push(later.Exclusive());
  EXPECT_THAT(Take().calls, ElementsAre(&later));
}

TEST_F(FlowQueueTest, TellsTheLeastTimeAheadOfACall) {
  FakeCall calls[] = {FakeCall("a", 0, milliseconds(20)), FakeCall("a", 1, milliseconds(20)),
                      FakeCall("b", 0, milliseconds(99))};
  for (FakeCall& call : calls) queue_.Push(call);
  const auto ahead_of = [&](const FakeCall& call) {
    return queue_.LeastTimeAhead(call, kMaxCalls);
  };
  // One that runs alone, and one that may have three companions.
  EXPECT_EQ(ahead_of(FakeCall("a", 2)), milliseconds(20 + 20 / 4));
  EXPECT_EQ(ahead_of(FakeCall("a", 1)), milliseconds(20));
  EXPECT_EQ(ahead_of(FakeCall("c")), milliseconds(0));
}

}  // namespace
}  // namespace tconv::server
