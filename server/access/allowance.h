// How much of the server somebody may use at once.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "server/access/access_rules.h"
#include "server/base/mutex.h"
#include "server/base/status.h"

namespace tconv::server {

struct AllowanceLimits {
  int64_t in_flight_bytes = kNoLimit;
  // On average. After a pause the calls of one second may come at once.
  int64_t calls_per_second = kNoLimit;
};

// Calls of one user, or of all, from Enter() until Leave(). Thread-safe.
class Allowance {
 public:
  using Clock = std::chrono::steady_clock;

  // `user` names in messages whose limits these are: "tenant \"vision\"".
  Allowance(std::string user, const AllowanceLimits& limits);

  // From now on these limits hold; what is in use already stays.
  void Change(const AllowanceLimits& limits);

  // A call with a payload of so many bytes. RESOURCE_EXHAUSTED beyond a limit: it
  // is not counted. With a RetryDelayOf() where waiting helps.
  Status Enter(int64_t bytes, Clock::time_point now = Clock::now());
  // Its payload is larger than was told. RESOURCE_EXHAUSTED: it is not to grow.
  Status Enlarge(int64_t more_bytes);
  // With all that was added.
  void Leave(int64_t bytes);

  int64_t bytes_in_flight() const;

 private:
  // Takes the part of a call out of what the rate has allowed up to now.
  Status TakeCall(Clock::time_point now) TCONV_REQUIRES(mutex_);
  Status CheckRoomFor(int64_t bytes) const TCONV_REQUIRES(mutex_);

  const std::string user_;
  mutable Mutex mutex_;
  AllowanceLimits limits_ TCONV_GUARDED_BY(mutex_);
  int64_t bytes_ TCONV_GUARDED_BY(mutex_) = 0;
  // When as many calls as came would have been allowed to come, at the latest.
  Clock::time_point paid_until_ TCONV_GUARDED_BY(mutex_) = {};
};

}  // namespace tconv::server
