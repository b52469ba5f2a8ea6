// A call in the house.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "server/access/allowance.h"
#include "server/base/status.h"
#include "server/host/admission_queue.h"

namespace tconv::server {

// Counts a call, from Enter() until it is destroyed, where it waits for its turn
// and in the allowances of those for whom it is made. Used by one thread at a time.
class Stay {
 public:
  using Allowances = std::vector<std::shared_ptr<Allowance>>;

  // A call with a payload of so many bytes. Errors of AdmissionQueue::Enter() and
  // Allowance::Enter(); then it is counted nowhere. `queue` must outlive it.
  static StatusOr<Stay> Enter(AdmissionQueue& queue, const Allowances& allowances, int64_t bytes);
  // When the answer is delivered, or the call gives up.
  ~Stay();
  Stay(Stay&& other) noexcept
      : queue_(std::exchange(other.queue_, nullptr)),
        allowances_(std::exchange(other.allowances_, {})),
        bytes_(other.bytes_) {}
  Stay& operator=(Stay&&) = delete;

  // Its payload is larger than was told. RESOURCE_EXHAUSTED: it is not to grow.
  Status Enlarge(int64_t more_bytes);

  int64_t bytes() const { return bytes_; }

 private:
  explicit Stay(int64_t bytes) : bytes_(bytes) {}

  // Where it is counted.
  AdmissionQueue* queue_ = nullptr;
  Allowances allowances_;
  int64_t bytes_;
};

}  // namespace tconv::server
