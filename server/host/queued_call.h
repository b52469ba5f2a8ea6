// A call that waits for its turn.
#pragma once

#include <chrono>
#include <span>
#include <string_view>

#include "server/base/status.h"

namespace tconv::server {

// What a call ends with that finds no memory.
inline Status OutOfMemory() {
  return Status(StatusCode::kResourceExhausted, "not enough memory for this call");
}

// A call that wants to run. It belongs to whoever submits it. The queue does not
// touch it after Run() or Drop() began. What the other methods answer does not
// change while the call waits; they are asked under the queue's mutex and must
// be cheap.
class QueuedCall {
 public:
  virtual ~QueuedCall() = default;

  // Calls of different flows take turns; the layer's name. Valid while the call
  // waits.
  virtual std::string_view flow() const { return {}; }

  virtual std::chrono::system_clock::time_point deadline() const {
    return std::chrono::system_clock::time_point::max();
  }

  // The shortest that it has been seen to take once it runs; 0: unknown.
  virtual std::chrono::nanoseconds least_time() const { return std::chrono::nanoseconds(0); }

  // Whether it needs the right to compute while it runs. Calls that mostly wait
  // themselves, for a disk, do not.
  virtual bool computes() const { return true; }

  // Whether no other call of its flow may run while it does, as when each goes on from
  // what the one before has stored. The same for all calls of a flow.
  virtual bool is_exclusive() const { return false; }

  // Whether both can be computed together. Symmetric, and true of the call
  // itself where it is true of any other. REQUIRES: both are of the same flow.
  virtual bool CanRunWith(const QueuedCall&) const { return false; }

  // A submitted call gets exactly one of the two, unless it is a companion.
  //
  // `companions` are further calls that are taken along: each CanRunWith() this
  // one, and gets neither Run nor Drop of its own.
  virtual void Run(std::span<QueuedCall* const> companions) = 0;
  // It does not get its turn: DEADLINE_EXCEEDED, CANCELLED, or that what it waited
  // for does not come.
  virtual void Drop(const Status& why) = 0;
};

}  // namespace tconv::server
