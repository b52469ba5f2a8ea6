// Forwards through the queue and the host, without a transport.
#pragma once

#include <chrono>
#include <future>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "server/host/admission_queue.h"
#include "server/host/layer_host.h"

namespace tconv::testing {

struct QueuedForwardTerms {
  int64_t min_version = 0;
  std::chrono::system_clock::time_point deadline = std::chrono::system_clock::time_point::max();
};

// A Forward that waits for its turn, and then takes its companions along into
// LayerHost::ForwardTogether(). To be sent once.
class QueuedForward final : public server::QueuedCall {
 public:
  // All three must outlive it.
  QueuedForward(server::LayerHost& host, server::AdmissionQueue& queue, std::string layer,
                const server::Tensor& input, const QueuedForwardTerms& terms = {})
      : host_(host),
        queue_(queue),
        source_(input.view()),
        job_(std::move(layer), source_, false),
        deadline_(terms.deadline) {
    job_.min_version = terms.min_version;
  }

  // Sends the call and waits for what it answers.
  server::StatusOr<server::ForwardResult> Call() {
    TCONV_RETURN_IF_ERROR(queue_.Enter(source_.size_bytes()));
    outlook_ = host_.OutlookOf(job_.layer, source_.shape());
    host_.SubmitWithVersion(job_.layer, job_.min_version, *this, queue_);
    is_answered_.get_future().wait();
    queue_.Leave(source_.size_bytes());
    return std::move(job_.result);
  }

  std::string_view flow() const override { return job_.layer; }
  std::chrono::system_clock::time_point deadline() const override { return deadline_; }
  std::chrono::nanoseconds least_time() const override { return outlook_.least_time; }
  bool CanRunWith(const QueuedCall& other) const override {
    const auto& forward = static_cast<const QueuedForward&>(other);
    return outlook_.gains_together && forward.outlook_.gains_together &&
           forward.source_.shape() == source_.shape();
  }

  void Run(std::span<QueuedCall* const> companions) override {
    std::vector<QueuedForward*> calls = {this};
    for (QueuedCall* call : companions) calls.push_back(static_cast<QueuedForward*>(call));
    std::vector<server::ForwardJob*> jobs;
    for (QueuedForward* call : calls) jobs.push_back(&call->job_);
    host_.ForwardTogether(jobs);
    for (QueuedForward* call : calls) call->is_answered_.set_value();
  }
  void Drop(const server::Status& why) override {
    job_.result = why;
    is_answered_.set_value();
  }

 private:
  server::LayerHost& host_;
  server::AdmissionQueue& queue_;
  server::ViewSource source_;
  server::ForwardJob job_;
  const std::chrono::system_clock::time_point deadline_;
  server::ForwardOutlook outlook_;
  std::promise<void> is_answered_;
};

}  // namespace tconv::testing
