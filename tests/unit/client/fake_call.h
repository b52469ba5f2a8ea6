// An RPC of a service that a test plays.
#pragma once

#include <grpcpp/grpcpp.h>

#include <mutex>
#include <utility>
#include <vector>

namespace tconv::testing {

// Keeps what it is asked, and answers what a test prepares. Thread-safe.
template <typename Request, typename Response>
class FakeCall {
 public:
  // The next calls fail with UNAVAILABLE, as many as `failures`; those after them get
  // `answer`.
  void Prepare(Response answer, int failures = 0) {
    const std::lock_guard lock(mutex_);
    requests_.clear();
    answer_ = std::move(answer);
    failures_ = failures;
  }

  // Since it was prepared, with those that failed.
  std::vector<Request> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

  grpc::Status Handle(grpc::ServerContext* context, const Request* request, Response* response) {
    const std::lock_guard lock(mutex_);
    context->AddTrailingMetadata("tconv-timing", "compute=3");
    requests_.push_back(*request);
    if (failures_ > 0) {
      --failures_;
      return {grpc::StatusCode::UNAVAILABLE, "later"};
    }
    *response = answer_;
    return grpc::Status::OK;
  }

 private:
  mutable std::mutex mutex_;  // of the rest
  std::vector<Request> requests_;
  Response answer_;
  int failures_ = 0;
};

}  // namespace tconv::testing
