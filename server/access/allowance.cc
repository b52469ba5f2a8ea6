#include "server/access/allowance.h"

#include <algorithm>
#include <utility>

namespace tconv::server {
namespace {

using std::chrono::milliseconds;

// Calls of this time may come at once.
constexpr std::chrono::seconds kBurst(1);
// For memory: until some other call has ended, nobody knows when.
constexpr milliseconds kRoomDelay(100);

}  // namespace

Allowance::Allowance(std::string user, const AllowanceLimits& limits)
    : user_(std::move(user)), limits_(limits) {}

void Allowance::Change(const AllowanceLimits& limits) {
  MutexLock lock(mutex_);
  limits_ = limits;
}

Status Allowance::Enter(int64_t bytes, Clock::time_point now) {
  MutexLock lock(mutex_);
  TCONV_RETURN_IF_ERROR(CheckRoomFor(bytes));
  TCONV_RETURN_IF_ERROR(TakeCall(now));
  bytes_ += bytes;
  return OkStatus();
}

Status Allowance::Enlarge(int64_t more_bytes) {
  MutexLock lock(mutex_);
  TCONV_RETURN_IF_ERROR(CheckRoomFor(more_bytes));
  bytes_ += more_bytes;
  return OkStatus();
}

void Allowance::Leave(int64_t bytes) {
  MutexLock lock(mutex_);
  bytes_ -= bytes;
}

int64_t Allowance::bytes_in_flight() const {
  MutexLock lock(mutex_);
  return bytes_;
}

// Each call costs its share of a second, and the account may be a burst ahead of
// the clock.
Status Allowance::TakeCall(Clock::time_point now) {
  if (limits_.calls_per_second == kNoLimit) return OkStatus();
  if (limits_.calls_per_second == 0) {
    return MakeError(StatusCode::kResourceExhausted, "{} may make no calls", user_);
  }
  const Clock::duration cost = Clock::duration(kBurst) / limits_.calls_per_second;
  const Clock::time_point paid_until = std::max(paid_until_, now) + cost;
  if (paid_until <= now + kBurst) {
    paid_until_ = paid_until;
    return OkStatus();
  }
  const auto delay = std::chrono::ceil<milliseconds>(paid_until - (now + kBurst));
  return RetryAfter(
      delay, MakeError(StatusCode::kResourceExhausted, "{} makes more than its {} calls a second",
                       user_, limits_.calls_per_second));
}

Status Allowance::CheckRoomFor(int64_t bytes) const {
  if (bytes <= limits_.in_flight_bytes - bytes_) return OkStatus();
  const Status error = MakeError(StatusCode::kResourceExhausted,
                                 "a request of {} bytes finds no room: others of {} hold {} of {} "
                                 "bytes",
                                 bytes, user_, bytes_, limits_.in_flight_bytes);
  return bytes <= limits_.in_flight_bytes ? RetryAfter(kRoomDelay, error) : error;
}

}  // namespace tconv::server
