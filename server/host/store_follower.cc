#include "server/host/store_follower.h"

#include <chrono>
#include <utility>

namespace tconv::server {
namespace {

using std::chrono::steady_clock;

// Between two looks when nothing is heard: a message that got lost is made up for.
constexpr std::chrono::milliseconds kPatience = std::chrono::seconds(5);
constexpr std::chrono::milliseconds kNoPatience(0);
// Between two tries while the store is away.
constexpr auto kPause = std::chrono::milliseconds(500);
// A look takes milliseconds. Those who wait for it hold threads that could serve
// what is loaded.
constexpr auto kMostLookTime = std::chrono::seconds(5);

}  // namespace

StoreFollower::StoreFollower(std::unique_ptr<ChangeFeed> feed, Listener listener)
    : feed_(std::move(feed)), listener_(std::move(listener)), thread_([this] { Follow(); }) {}

StoreFollower::~StoreFollower() {
  {
    MutexLock lock(mutex_);
    is_stopping_ = true;
  }
  feed_->Interrupt();
  resume_.NotifyAll();
  thread_.join();
}

int64_t StoreFollower::AskForLook() {
  feed_->Interrupt();
  return ++last_ticket_;
}

void StoreFollower::LookSoon() {
  MutexLock lock(mutex_);
  AskForLook();
}

Status StoreFollower::CheckReachable() const {
  MutexLock lock(mutex_);
  return last_look_.ok() ? OkStatus() : RetryAfter(kPause, last_look_);
}

Status StoreFollower::CatchUp() {
  const auto deadline = steady_clock::now() + kMostLookTime;
  MutexLock lock(mutex_);
  if (!last_look_.ok()) return RetryAfter(kPause, last_look_);
  const int64_t ticket = AskForLook();
  while (answered_ticket_ < ticket) {
    if (!looked_.WaitUntil(mutex_, deadline)) {
      return RetryAfter(kPause, Status(StatusCode::kUnavailable, "store: it does not answer"));
    }
  }
  return last_look_.ok() ? OkStatus() : RetryAfter(kPause, last_look_);
}

void StoreFollower::NoteLook(const Status& status) {
  MutexLock lock(mutex_);
  last_look_ = status;
}

void StoreFollower::Follow() {
  MutexLock lock(mutex_);
  while (!is_stopping_) {
    const int64_t ticket = last_ticket_;
    const bool is_there = last_look_.ok();
    const bool is_hurried = ticket > answered_ticket_ || !is_there;
    mutex_.unlock();
    StatusOr<StoreChanges> changes = feed_->Next(is_hurried ? kNoPatience : kPatience);
    // A connection that broke does not mean that the store is away.
    if (!changes.ok() && is_there) changes = feed_->Next(kNoPatience);
    const Status status = changes.status();
    // Whoever hears of it from the listener finds it so here, too.
    NoteLook(status);
    listener_(std::move(changes));
    mutex_.lock();
    answered_ticket_ = ticket;
    looked_.NotifyAll();
    if (status.ok()) continue;
    const auto next_try = steady_clock::now() + kPause;
    while (!is_stopping_ && resume_.WaitUntil(mutex_, next_try)) {
    }
  }
}

}  // namespace tconv::server
