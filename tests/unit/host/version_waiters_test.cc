#include "server/host/version_waiters.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <span>

#include "tests/support/layer_config_builder.h"
#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;
using tconv::testing::IsOk;
using tconv::testing::LayerConfigBuilder;
using tconv::testing::StatusIs;

// Tells what becomes of it: OK for its turn.
class WaitingCall final : public QueuedCall {
 public:
  explicit WaitingCall(milliseconds timeout = std::chrono::minutes(1))
      : deadline_(system_clock::now() + timeout) {}

  system_clock::time_point deadline() const override { return deadline_; }
  void Run(std::span<QueuedCall* const>) override { end_.set_value(OkStatus()); }
  void Drop(const Status& why) override { end_.set_value(why); }

  bool Waits() { return end_future_.wait_for(milliseconds(0)) == std::future_status::timeout; }
  Status End() { return end_future_.get(); }

 private:
  const system_clock::time_point deadline_;
  std::promise<Status> end_;
  std::future<Status> end_future_ = end_.get_future();
};

class VersionWaitersTest : public ::testing::Test {
 protected:
  void Publish(int64_t version) {
    layer_->Publish({.in_channels = 1, .weights_version = version});
    waiters_.Notify(*layer_);
  }

  void Await(int64_t version, WaitingCall& call) {
    waiters_.Await(VersionedLayers(layer_), version, call, queue_);
  }

  AdmissionQueue queue_{{.handler_threads = 1}};
  VersionWaiters waiters_;
  const std::shared_ptr<Layer> layer_ =
      std::make_shared<Layer>(LayerRecord{.name = "up",
                                          .config = LayerConfigBuilder().Build(),
                                          .in_channels = 1,
                                          .weights_version = 3,
                                          .id = 1});
};

TEST_F(VersionWaitersTest, ACallDoesNotWaitForWhatIsServed) {
  WaitingCall call;
  Await(3, call);
  EXPECT_THAT(call.End(), IsOk());
}

TEST_F(VersionWaitersTest, ACallGoesOnWithTheVersionItWaitsForOrALaterOne) {
  WaitingCall fourth, fifth, sixth;
  Await(4, fourth);
  Await(5, fifth);
  Await(6, sixth);
  EXPECT_TRUE(fourth.Waits());
  Publish(5);
  EXPECT_THAT(fourth.End(), IsOk());
  EXPECT_THAT(fifth.End(), IsOk());
  EXPECT_TRUE(sixth.Waits());
  Publish(6);
  EXPECT_THAT(sixth.End(), IsOk());
}

TEST_F(VersionWaitersTest, ACallIsToldBeforeItsDeadlineThatTheVersionIsNotHere) {
  WaitingCall patient;
  WaitingCall call(milliseconds(400));
  Await(4, patient);
  Await(4, call);
  const Status end = call.End();
  EXPECT_LT(system_clock::now(), call.deadline());
  EXPECT_THAT(end, StatusIs(StatusCode::kUnavailable, ::testing::HasSubstr("at version 3 here")));
  EXPECT_TRUE(RetryDelayOf(end).has_value());
  EXPECT_TRUE(patient.Waits());
  Publish(4);
  EXPECT_THAT(patient.End(), IsOk());
}

TEST_F(VersionWaitersTest, TheReasonWhyAVersionIsNotHereIsTold) {
  layer_->SetTrouble(MakeError(StatusCode::kDataLoss, "the digest differs"));
  EXPECT_THAT(VersionNotServed(VersionedLayers(layer_), 4),
              StatusIs(StatusCode::kUnavailable, ::testing::HasSubstr("the digest differs")));
}

TEST_F(VersionWaitersTest, ACallWithoutADeadlineWaitsForABoundedTime) {
  class Endless final : public QueuedCall {
   public:
    void Run(std::span<QueuedCall* const>) override { end.set_value(OkStatus()); }
    void Drop(const Status& why) override { end.set_value(why); }
    std::promise<Status> end;
  } call;
  const auto begin = steady_clock::now();
  waiters_.Await(VersionedLayers(layer_), 4, call, queue_);
  EXPECT_THAT(call.end.get_future().get(), StatusIs(StatusCode::kUnavailable));
  EXPECT_GE(steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST_F(VersionWaitersTest, ADeletedLayerEndsTheWaiting) {
  WaitingCall call;
  Await(4, call);
  layer_->MarkDeleted();
  waiters_.Notify(*layer_);
  EXPECT_THAT(call.End(), StatusIs(StatusCode::kNotFound));
  WaitingCall late;
  Await(3, late);
  EXPECT_THAT(late.End(), StatusIs(StatusCode::kNotFound));
}

TEST_F(VersionWaitersTest, AnAbandonedCallIsDroppedOnce) {
  WaitingCall call;
  Await(4, call);
  EXPECT_TRUE(waiters_.Abandon(call));
  EXPECT_THAT(call.End(), StatusIs(StatusCode::kCancelled));
  EXPECT_FALSE(waiters_.Abandon(call));
  Publish(4);
}

}  // namespace
}  // namespace tconv::server
