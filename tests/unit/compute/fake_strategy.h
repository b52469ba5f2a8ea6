// A strategy for the tests of the planner and of the cache.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/compute/strategy.h"

namespace tconv::server {

class FakePlan final : public ForwardPlan {
 public:
  FakePlan(int64_t bytes, std::vector<SharedPart> parts)
      : bytes_(bytes), parts_(std::move(parts)) {}
  Status Execute(ConstTensorView, TensorView) const override { return OkStatus(); }
  int64_t bytes_held() const override { return bytes_; }
  std::vector<SharedPart> shared_parts() const override { return parts_; }

 private:
  const int64_t bytes_;
  const std::vector<SharedPart> parts_;
};

class FakeStrategy final : public Strategy {
 public:
  // Refuses every problem when `refusal` is not empty. Its plans hold
  // `plan_bytes` each, and `shared_bytes` that the plans of one Weights share;
  // `compilations`, when given, counts them.
  FakeStrategy(std::string name, std::string refusal, int64_t plan_bytes = 0,
               std::atomic<int>* compilations = nullptr, int64_t shared_bytes = 0,
               std::chrono::nanoseconds estimated_time = std::chrono::nanoseconds(0))
      : name_(std::move(name)),
        refusal_(std::move(refusal)),
        plan_bytes_(plan_bytes),
        compilations_(compilations),
        shared_bytes_(shared_bytes),
        estimated_time_(estimated_time) {}

  std::string_view name() const override { return name_; }
  Status Supports(const DeconvProblem&) const override {
    return refusal_.empty() ? OkStatus() : Status(StatusCode::kUnimplemented, refusal_);
  }
  std::chrono::nanoseconds EstimatedTime(const DeconvProblem&) const override {
    return estimated_time_;
  }
  StatusOr<std::unique_ptr<const ForwardPlan>> Compile(
      const DeconvProblem&, std::shared_ptr<const Weights> weights) const override {
    if (compilations_ != nullptr) ++*compilations_;
    return std::make_unique<const FakePlan>(
        plan_bytes_, std::vector<SharedPart>{{weights.get(), shared_bytes_}});
  }

 private:
  const std::string name_;
  const std::string refusal_;
  const int64_t plan_bytes_;
  std::atomic<int>* const compilations_;
  const int64_t shared_bytes_;
  const std::chrono::nanoseconds estimated_time_;
};

}  // namespace tconv::server
