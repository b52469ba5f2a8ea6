// Forwards that wait for their turn, whichever protocol they came by.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "server/access/caller.h"
#include "server/base/status.h"
#include "server/host/forward_job.h"
#include "server/host/layer_host.h"
#include "server/host/queued_call.h"
#include "server/tensor/tensor_source.h"

namespace tconv::server {

// What a Forward is asked for.
struct ForwardTerms {
  std::string name;
  std::unique_ptr<TensorSource> input;
  bool compute_losses = false;
  int64_t min_version = 0;                          // as in ForwardJob
  std::optional<int64_t> exact_version = {};        // as in ForwardJob
  std::optional<OutputRoom> room = {};              // as in ForwardJob
  std::chrono::system_clock::time_point deadline =  // when its turn is of no use any more
      std::chrono::system_clock::time_point::max();
};

// The half of a QueuedCall that is the same for all Forwards: those of one layer whose inputs have
// the same shape may be computed together, also when they came by different protocols. A public
// base of such a call, by which others find it. Used as a QueuedCall is.
class WaitingForward {
 public:
  // `host` must outlive it.
  explicit WaitingForward(LayerHost& host) : host_(host) {}
  virtual ~WaitingForward() = default;
  WaitingForward(const WaitingForward&) = delete;
  WaitingForward& operator=(const WaitingForward&) = delete;

 protected:
  // To be called once, before the call is submitted.
  void Expect(ForwardTerms terms, Caller caller);
  const ForwardTerms& terms() const { return terms_; }
  std::chrono::nanoseconds LeastTime() const { return outlook_.least_time; }
  bool MayJoin(const QueuedCall& other) const;

  // Submits `call`, which this is a half of, and stops asking for its turn.
  void SubmitTo(AdmissionQueue& queue, QueuedCall& call);
  void AbandonIn(AdmissionQueue& queue, QueuedCall& call);

  // Computes this and the companions, and ends all of them. None may be touched afterwards.
  // REQUIRES: each MayJoin() this.
  void ComputeWith(std::span<QueuedCall* const> companions);

  // It is taken along by another.
  virtual void BeginTurn() = 0;
  // What came of it.
  virtual void EndWith(const ForwardJob& job) = 0;

 private:
  ForwardJob MakeJob() const;

  LayerHost& host_;
  ForwardTerms terms_;
  Caller caller_;
  ForwardOutlook outlook_;
};

}  // namespace tconv::server
